"""The planner's memory beside what real updates of real networks held, as torch's allocator counts it."""

import pytest
from benchmarks.plan_memory import LARGEST_ERROR, Case, allocated_bytes

from components.models.config import DiTConfig

WIDE, DEEP = DiTConfig(256, 4, 4, 768, (16, 24, 24), 256), DiTConfig(128, 10, 2, 384, (16, 24, 24), 256)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(
    ("model", "side", "micro_batch", "accumulate"),
    [(WIDE, 4, 1, 1), (WIDE, 8, 8, 1), (DEEP, 8, 4, 2)],
    ids=["mostly weights", "mostly activations", "two passes an update"],
)
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "checkpointed"])
def test_the_plan_agrees_with_a_measured_update(model, precision, side, micro_batch, accumulate, checkpointing):
    case = Case(model, side, 16, micro_batch, accumulate, precision, checkpointing)
    assert case.planned_bytes == pytest.approx(allocated_bytes(case), rel=LARGEST_ERROR)
