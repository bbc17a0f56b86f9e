"""Settings of training: what cannot be is refused where it is read."""

import pytest

from components.training.config import Execution


@pytest.mark.parametrize(
    ("execution", "batch_size", "accumulate"),
    [
        (Execution("cpu"), 6, 1),
        (Execution("cpu", micro_batch=2), 6, 3),
        (Execution("cuda", devices=8, num_nodes=8, strategy="zero2", micro_batch=4), 1024, 4),
    ],
)
def test_a_batch_is_devices_times_micro_batch_times_accumulation(execution, batch_size, accumulate):
    assert execution.accumulate(batch_size) == accumulate


@pytest.mark.parametrize(
    ("execution", "batch_size"),
    [
        (Execution("cpu", devices=4, strategy="ddp"), 6),
        (Execution("cpu", micro_batch=4), 6),
        (Execution("cpu", devices=8, strategy="ddp"), 6),
    ],
)
def test_a_batch_that_does_not_divide_is_refused(execution, batch_size):
    with pytest.raises(ValueError, match=f"a batch of {batch_size} does not divide"):
        execution.accumulate(batch_size)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"devices": 2}, "strategy single is one process, got 2"),
        ({"devices": 0}, "at least 1"),
        ({"offload": "optimizer"}, "needs strategy zero1, zero2 or zero3"),
        ({"strategy": "zero2", "offload": "optimizer+parameters"}, "needs strategy zero3"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Execution("cpu", **changes)
