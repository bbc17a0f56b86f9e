import numpy as np
import pytest
from scipy.stats import binomtest

from components.evaluation.intervals import bootstrap_interval, wilson_interval


@pytest.mark.parametrize(("right", "tried"), [(0, 10), (10, 10), (3, 7), (61, 100), (500, 1000)])
def test_wilson_agrees_with_scipy(right: int, tried: int) -> None:
    expected = binomtest(right, tried).proportion_ci(method="wilson")
    assert wilson_interval(right, tried) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_covers_the_true_share_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    trials = draw.binomial(50, 0.3, size=2000)
    covered = np.mean([low <= 0.3 <= high for low, high in (wilson_interval(int(n), 50) for n in trials)])
    assert 0.93 < covered < 0.97


def test_nothing_tried_says_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 right of 2"):
        wilson_interval(3, 2)


def test_bootstrap_of_a_mean_has_the_width_of_its_standard_error() -> None:
    values = np.random.default_rng(1).normal(5, 2, size=(400, 1))
    low, high = bootstrap_interval(lambda rows: float(rows.mean()), values, num_resamples=800, seed=3)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(400), rel=0.12)
    assert (low, high) == bootstrap_interval(lambda rows: float(rows.mean()), values, num_resamples=800, seed=3)
