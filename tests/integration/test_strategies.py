"""Every strategy trains the same weights, continues bit for bit, and hands on to another number of processes."""

import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from components.launch.local import log_file, run_ranks

pytestmark = pytest.mark.timeout(600)  # the first one trains for all
HERE = Path(__file__).parent
TURNS = ("ddp", "zero2", "zero3")
SHARDED = ("ddp", "fsdp2", "zero1", "zero2", "zero3")
WHOLE = ("whole", "dpo", "distill", "adversarial")
TASKS = [
    *(f"{strategy}/32-true/4/{what}" for strategy in SHARDED for what in ("whole", "continued")),
    *(f"{strategy}/32-true/2/whole" for strategy in ("ddp", "zero2", "zero3")),
    *(f"{strategy}/32-true/4/dpo" for strategy in ("ddp", "zero2", "zero3")),
    *(f"{strategy}/32-true/4/{what}" for strategy in TURNS for what in ("distill", "distill-continued", "adversarial")),
    *(f"{strategy}/bf16-mixed/4/whole" for strategy in ("ddp", "fsdp2", "zero2", "zero3")),
]


def run(folder: Path, num_ranks: int, tasks: list[str]) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE.parents[1]}",
        "OMP_NUM_THREADS": "1",
        "DS_ACCELERATOR": "cpu",
    }
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(HERE / "strategy_ranks.py"), str(folder), *tasks]
    ended = run_ranks(command, num_ranks, environment, folder, grace_s=60)
    logs = "".join(log_file(folder, one.rank).read_text()[-5000:] for one in ended)
    assert [one.code for one in ended] == [0] * num_ranks, logs


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What one process trains alone, and what two do together under every strategy."""
    folder = tmp_path_factory.mktemp("strategies")
    run(folder, 1, [f"single/{what}" for what in ("bf16-mixed/8/whole", *(f"32-true/8/{w}" for w in WHOLE))])
    run(folder, 2, TASKS)
    return folder


@pytest.fixture(scope="module")
def moved(folder, tmp_path_factory) -> Path:
    """What one process makes of the middle of a run that two had begun."""
    moved = tmp_path_factory.mktemp("moved")
    for strategy in SHARDED:
        own = moved / f"{strategy if strategy.startswith('zero') else 'single'}-32-true-8"
        if not own.exists():
            shutil.copytree(folder / f"{strategy}-32-true-4" / "checkpoints", own / "checkpoints")
            # The last of the run's checkpoints is torn; the one before it leaves four steps to go.
            next((own / "checkpoints").glob("images-000000000072/*.json")).unlink()
    run(moved, 1, [f"{own.name.split('-')[0]}/32-true/8/moved" for own in sorted(moved.iterdir()) if own.is_dir()])
    return moved


def result(folder: Path, run: str, what: str) -> dict[str, torch.Tensor]:
    return load_file(folder / run / f"{what}.safetensors")


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference between any two weights."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one if name not in ("losses", "graphs"))


@pytest.mark.parametrize(
    "run", [task.removesuffix("/whole").replace("/", "-") for task in TASKS if "32-true" in task and "whole" in task]
)
def test_it_trains_what_one_process_trains(folder, run):
    alone, together = result(folder, "single-32-true-8", "whole"), result(folder, run, "whole")
    torch.testing.assert_close(together["losses"], alone["losses"], rtol=1e-6, atol=0)
    # Ten steps at rates of up to 3e-3: sums in another order move a weight by rounding only.
    assert distance(together, alone) < 5e-6


@pytest.mark.parametrize("strategy", ["ddp", "zero2", "zero3"])
def test_preferences_are_trained_as_one_process_trains_them(folder, strategy):
    """Two networks, of which one is never sharded; the margins on held-out pairs are the same too."""
    alone, together = result(folder, "single-32-true-8", "dpo"), result(folder, f"{strategy}-32-true-4", "dpo")
    assert float(alone["losses"][-1]) != 0
    torch.testing.assert_close(together["losses"], alone["losses"], rtol=1e-4, atol=1e-7)
    assert distance(together, alone) < 5e-6


@pytest.mark.parametrize("what", ["distill", "adversarial"])
@pytest.mark.parametrize("strategy", TURNS)
def test_a_student_is_distilled_as_in_one_process(folder, strategy, what):
    """Two networks that train in turn and share one optimiser; of each step only one of them has gradients."""
    alone, together = result(folder, "single-32-true-8", what), result(folder, f"{strategy}-32-true-4", what)
    torch.testing.assert_close(together["losses"], alone["losses"], rtol=1e-4, atol=1e-7)
    assert distance(together, alone) < 5e-6


@pytest.mark.parametrize("strategy", TURNS)
def test_a_distillation_that_goes_on_is_bit_equal_to_one_without_break(folder, strategy):
    whole, after = (result(folder, f"{strategy}-32-true-4", what) for what in ("distill", "distill-continued"))
    assert distance(after, whole) == 0


@pytest.mark.parametrize("strategy", SHARDED)
def test_continued_it_is_bit_equal_to_a_run_without_break(folder, strategy):
    whole, continued = (result(folder, f"{strategy}-32-true-4", what) for what in ("whole", "continued"))
    assert distance(continued, whole) == 0
    steps = ~continued["losses"].isnan()
    assert steps.tolist() == [False] * 3 + [True] * 7
    assert torch.equal(continued["losses"][steps], whole["losses"][steps])


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", "zero2", "zero3"])
def test_in_bf16_it_stays_close(folder, strategy):
    alone = result(folder, "single-bf16-mixed-8", "whole")["losses"]
    together = result(folder, f"{strategy}-bf16-mixed-4", "whole")["losses"]
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=0)
    assert not torch.equal(together, result(folder, f"{strategy}-32-true-4", "whole")["losses"])


@pytest.mark.parametrize("run", ["single-32-true-8", "zero1-32-true-8", "zero2-32-true-8", "zero3-32-true-8"])
def test_another_number_of_processes_goes_on_with_it(folder, moved, run):
    whole, after = result(folder, "single-32-true-8", "whole"), result(moved, run, "moved")
    steps = ~after["losses"].isnan()
    assert steps.tolist() == [False] * 6 + [True] * 4
    torch.testing.assert_close(after["losses"][steps], whole["losses"][steps], rtol=1e-6, atol=0)
    assert distance(after, whole) < 5e-6
