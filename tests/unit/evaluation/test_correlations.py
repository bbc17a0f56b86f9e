"""Correlations against scipy, and intervals that hold the truth as often as they say."""

import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from components.evaluation.correlations import correlations


def rows(n: int, seed: int = 0, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.normal(size=n)
    labels = np.round(labels) if ties else labels
    return labels + rng.normal(size=n), labels


@pytest.mark.parametrize("ties", [False, True])
def test_they_are_scipy_s(ties):
    scores, labels = rows(60, ties=ties)
    found = correlations(scores, labels, 0, num_resamples=20)
    assert found.srcc.value == pytest.approx(spearmanr(scores, labels).statistic, rel=1e-12)
    assert found.plcc.value == pytest.approx(pearsonr(scores, labels).statistic, rel=1e-12)
    assert found.krcc.value == pytest.approx(kendalltau(scores, labels).statistic, rel=1e-12)
    for one in (found.srcc, found.plcc, found.krcc):
        assert -1 <= one.low <= one.value <= one.high <= 1


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    truth = 1 / np.sqrt(2)  # of a sum of two equal independent normals with one of them
    held = [
        found.low <= truth <= found.high
        for found in (correlations(*rows(80, seed), seed, num_resamples=60).plcc for seed in range(60))
    ]
    assert np.mean(held) >= 0.85


def test_versions_of_one_picture_are_no_independent_witnesses():
    """Ten copies of each row say nothing new: with groups the interval is that of the rows, without it is narrower."""
    scores, labels = rows(40)
    many = np.repeat(scores, 10), np.repeat(labels, 10)
    names = np.repeat([f"{number}" for number in range(40)], 10).tolist()
    one = correlations(scores, labels, 0).plcc
    grouped, alone = correlations(*many, 0, groups=names).plcc, correlations(*many, 0).plcc
    assert grouped.high - grouped.low == pytest.approx(one.high - one.low, rel=0.15)
    assert alone.high - alone.low < 0.5 * (one.high - one.low)


def test_equal_seeds_give_equal_intervals():
    assert correlations(*rows(30), 1, num_resamples=50) == correlations(*rows(30), 1, num_resamples=50)
    assert correlations(*rows(30), 1, num_resamples=50) != correlations(*rows(30), 2, num_resamples=50)


def test_an_order_to_follow_is_needed():
    with pytest.raises(ValueError, match="3 or more"):
        correlations(*rows(2), 0)
    with pytest.raises(ValueError, match="are equal"):
        correlations(np.ones(5), rows(5)[1], 0)


def test_few_rows_whose_resamples_are_often_constant_have_wide_intervals():
    found = correlations(np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0]), 0, num_resamples=30)
    for one in found.three:
        assert one.low <= one.value <= one.high
        assert one.high - one.low > 0.3
    assert correlations(np.arange(3.0), np.arange(3.0), 0, groups=["a"] * 3, num_resamples=5).srcc.low == 1.0
