"""Two processes train the language model that one trains, however its weights are spread."""

import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from components.launch.local import log_file, run_ranks

pytestmark = pytest.mark.timeout(600)  # the first one trains for all
HERE = Path(__file__).parent
SHARDED = ("ddp", "fsdp2", "zero1", "zero2", "zero3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("language")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE.parents[1]}",
        "OMP_NUM_THREADS": "1",
        "DS_ACCELERATOR": "cpu",
    }
    for num_ranks, strategies in ((1, ("single",)), (2, SHARDED)):
        command = [sys.executable, str(HERE / "language_ranks.py"), str(folder), *strategies]
        ended = run_ranks(command, num_ranks, environment, folder, grace_s=60)
        logs = "".join(log_file(folder, one.rank).read_text()[-5000:] for one in ended)
        assert [one.code for one in ended] == [0] * num_ranks, logs
    return folder


@pytest.mark.parametrize("strategy", SHARDED)
def test_two_train_what_one_trains(folder, strategy):
    alone, together = (load_file(folder / f"{name}.safetensors") for name in ("single", strategy))
    assert alone.keys() == together.keys()
    assert float(alone["perplexities"][1]) < float(alone["perplexities"][0])
    torch.testing.assert_close(together.pop("perplexities"), alone.pop("perplexities"), rtol=1e-5, atol=0)
    # Ten steps at rates of up to 3e-3: sums in another order move a weight by rounding only.
    assert max(float((together[name] - alone[name]).abs().max()) for name in alone) < 5e-6
