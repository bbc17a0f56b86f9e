"""Blocks that are compiled: the same weights, and no graph more than texts of changing length need."""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from components.launch.local import log_file, run_ranks

HERE = Path(__file__).parent


def test_a_compiled_training_is_the_same_and_stops_compiling(tmp_path):
    command = [sys.executable, str(HERE / "strategy_ranks.py"), str(tmp_path)]
    one = {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}  # no pool of compilers, which can hang
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE.parents[1]}", **one}
    (ended,) = run_ranks(
        [*command, "single/32-true/8/whole", "single/32-true/8/compiled"], 1, environment, tmp_path, grace_s=60
    )
    assert ended.code == 0, log_file(tmp_path, 0).read_text()
    plain, compiled = (
        load_file(tmp_path / "single-32-true-8" / f"{what}.safetensors") for what in ("whole", "compiled")
    )
    for name in plain.keys() - {"losses", "graphs"}:
        torch.testing.assert_close(compiled[name], plain[name], rtol=0, atol=5e-6)
    # One graph for the first length of text, one for all lengths; the two blocks share them.
    assert compiled["graphs"].tolist() == [2]
    assert plain["graphs"].tolist() == [0]
