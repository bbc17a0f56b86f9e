"""What a watch measures of held-out pairs, and when it ends a training, by hand computation."""

import re

import numpy as np
import pytest
import torch
from tiny_pairs import PAIRS_HELD_OUT, pair_store, pair_table
from tiny_training import tiny_denoiser

from components.data.buckets import Bucket
from components.objectives.flow_matching import velocity_error
from components.training.config import WatchConfig
from components.training.pair_batches import rows_of_pairs
from components.training.preference_watch import (
    HeldOutErrors,
    fix_pair_problems,
    measures_of,
    pair_errors,
    why_to_end,
)

BUCKET = Bucket(32, 32)
CONFIG = WatchConfig(every_images=10, visits=2, max_error_rise=0.1, max_quality_fall=0.05, patience=2, seed=0)


def problems(visits=4, seed=0):
    buckets = {BUCKET: pair_store()}
    return fix_pair_problems(buckets, rows_of_pairs(buckets, pair_table(), "heldout", 1), visits, seed)


def test_every_pair_is_visited_once_in_every_part_of_the_times():
    (problem,) = problems(visits=4)
    assert len(problem.t) == 4 * PAIRS_HELD_OUT
    for pair in range(PAIRS_HELD_OUT):
        parts = np.floor(problem.t.numpy()[problem.pair == pair] * 4)
        assert sorted(parts) == [0, 1, 2, 3]
    again, other = problems()[0], problems(seed=1)[0]
    assert torch.equal(again.eps, problem.eps)
    assert not torch.equal(other.eps, problem.eps)


@pytest.mark.parametrize("max_batch", [1, 5, 100])
def test_errors_are_those_of_each_visit_alone(max_batch):
    (problem,), denoiser = problems(), tiny_denoiser()
    with torch.no_grad():
        for weight in denoiser.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    win, lose = pair_errors(denoiser, [problem], max_batch, torch.device("cpu"))
    for row in (0, 7, 23):
        place = slice(row, row + 1)
        condition = type(problem.condition)(problem.condition.states[place], problem.condition.lengths[place])
        for found, x_0 in ((win, problem.x_win), (lose, problem.x_lose)):
            with torch.no_grad():
                alone = velocity_error(denoiser, condition, x_0[place], problem.eps[place], problem.t[place])
            np.testing.assert_allclose(found[row], alone.item(), rtol=1e-4)


def test_measures_are_those_computed_by_hand():
    errors = HeldOutErrors(
        win=np.array([0.8, 1.2, 1.0, 1.0]),
        lose=np.array([1.0, 1.3, 1.0, 0.9]),
        ref_win=np.array([1.0, 1.0, 1.0, 1.0]),
        ref_lose=np.array([1.0, 1.0, 1.0, 1.0]),
        t=np.array([0.2, 0.9, 0.6, 0.7]),
        pair=np.array([0, 0, 1, 2]),
    )
    told = measures_of(errors)
    # Margins: pair 0 has 0.2 and 0.1, pair 1 has 0 (a tie), pair 2 has -0.1.
    assert told["accuracy"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert told["margin"] == pytest.approx((0.15 + 0 - 0.1) / 3)
    assert told["win_ratio"] == pytest.approx(4.0 / 4)
    assert told["lose_ratio"] == pytest.approx(4.2 / 4)
    assert (told["low/accuracy"], told["middle/accuracy"], told["high/accuracy"]) == (1.0, 0.25, 1.0)
    assert told["high/lose_ratio"] == pytest.approx(1.3)


def look(accuracy=0.6, win=1.0, lose=1.0, **qualities):
    return {"accuracy": accuracy, "win_ratio": win, "lose_ratio": lose, **qualities}


START = look(0.5, alignment=0.4, frechet=100.0)


@pytest.mark.parametrize(
    ("looks", "reason"),
    [
        ([look(win=9.0, lose=9.0)], ""),
        ([START, look(win=1.05, lose=2.0, alignment=0.4, frechet=100.0)], ""),
        ([START, look(win=1.2, lose=1.3, alignment=0.4, frechet=100.0)], "both errors rise: on held-out pairs"),
        ([START, look(win=1.2, lose=1.0, alignment=0.4, frechet=100.0)], "the winner's error rises: on held-out"),
        ([START, look(alignment=0.39, frechet=104.0)], ""),
        ([START, look(alignment=0.37, frechet=90.0)], r"alignment is 7.5 % worse than at the start \(0.4, now 0.37\)"),
        ([START, look(alignment=0.5, frechet=106.0)], r"frechet is 6.0 % worse than at the start \(100, now 106\)"),
        ([START, *[look(a, alignment=0.4, frechet=100.0) for a in (0.6, 0.6)]], ""),
        (
            [START, *[look(a, alignment=0.4, frechet=100.0) for a in (0.7, 0.6, 0.65)]],
            r"held-out accuracy has not risen for 2 looks \(0.700 at best\)",
        ),
    ],
)
def test_it_says_why_training_should_end(looks, reason):
    found = why_to_end(looks, ("alignment", "frechet"), CONFIG)
    if reason:
        assert re.search(reason, found)
    else:
        assert found == ""


@pytest.mark.parametrize("wrong", [{"every_images": 0}, {"visits": 0}, {"patience": -1}, {"max_error_rise": -0.1}])
def test_settings_at_fault_are_refused(wrong):
    with pytest.raises(ValueError, match="got"):
        WatchConfig(**{**vars(CONFIG), **wrong})
