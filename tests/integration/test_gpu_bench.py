"""The GPU benchmark goes its whole way on a CPU, small; and says in one line what it lacks."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_bench

    return gpu_bench


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_every_case_trains_and_is_counted(bench, tmp_path):
    setting = bench.Setting("cpu", "cpu", math.inf)
    for case in bench.CASES:
        full = setting.filled(case)
        timed = bench.bare_updates(setting, full)
        assert timed.layers == full.layers == 2
        figures = {figure.what: figure.value for figure in bench.figures_of(setting, full, timed)}
        assert len(figures) == 3
        assert min(figures.values()) > 0
    ratio, step_s = bench.beside(setting, setting.shape(1), replace(full, layers=1), tmp_path, 1, 3)
    assert ratio > 0
    assert step_s > 0


def test_as_many_layers_as_the_planner_says_fit(bench):
    setting = bench.Setting("cuda", "NVIDIA H100 80GB HBM3", 79 * 2**30)
    case = setting.filled(bench.CASES[0])
    assert setting.planned_bytes(case) <= bench.USED_OF_MEMORY * setting.memory_bytes
    assert setting.planned_bytes(replace(case, layers=case.layers + 1)) > bench.USED_OF_MEMORY * setting.memory_bytes
    assert setting.peak_tflops == 989
    assert bench.Setting("cuda", "Somebody's", 1.0).peak_tflops is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(bench, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu_bench.py"])
    with pytest.raises(SystemExit, match="finds no CUDA device; run it where there is one"):
        bench.main()


def test_without_the_mask_full_texts_give_the_same(bench):
    import training_loops as training

    from components.models.denoiser import TextCondition

    shape = bench.Setting("cpu", "cpu", math.inf).shape(2)
    denoiser = training.new_denoiser(
        replace(shape, precision="32-true"), bench.Setting("cpu", "", 0).execution(bench.CASES[0])
    )
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in denoiser.parameters():
            weight.normal_(0, 0.05)
        given = torch.randn(3, 8, 4, 4), torch.rand(3), TextCondition(torch.randn(3, 6, 16), torch.full((3,), 6))
        masked = denoiser(*given)
        bench.without_mask(denoiser)
        torch.testing.assert_close(denoiser(*given), masked)
