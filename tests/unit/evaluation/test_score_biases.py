"""Biases against planted ones and scipy's own tests; a group without pictures is said to be not measured."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_ind

from components.evaluation.score_biases import bias_between, bias_of_change, bias_of_group, not_measured


def test_a_planted_bias_is_found_whatever_the_labels_are():
    rng = np.random.default_rng(0)
    labels = rng.uniform(0, 100, 800)
    is_group = np.arange(800) % 4 == 0
    labels[is_group] = labels[is_group] / 2  # the group is truly worse: that is no bias
    scores = labels + rng.normal(0, 8, 800) + 6.0 * is_group
    found = bias_of_group("snapshots", scores, labels, is_group)
    assert found.num_images == 200
    assert found.low < 6 < found.high
    assert found.high - found.low < 4


def test_a_change_is_measured_in_pairs():
    rng = np.random.default_rng(1)
    before = rng.uniform(0, 100, 50)
    after = before + rng.normal(3, 2, 50)
    found = bias_of_change("black_and_white", "grey", after, before)
    told = ttest_1samp(after - before, 0).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(told.low), pytest.approx(told.high))
    assert found.bias == pytest.approx((after - before).mean())


def test_two_groups_are_compared_as_welch_did():
    rng = np.random.default_rng(2)
    group, rest = rng.normal(2, 5, 12), rng.normal(0, 1, 90)
    found = bias_between("ai_made", "", group, rest)
    told = ttest_ind(group, rest, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(told.low), pytest.approx(told.high))


def test_equal_residuals_have_an_interval_of_one_value():
    found = bias_between("ai_made", "", np.full(4, 2.0), np.full(9, -1.0))
    assert (found.bias, found.low, found.high) == (3.0, 3.0, 3.0)


def test_what_is_not_there_is_not_measured():
    assert not_measured("snapshots", "no picture is marked as one").measured.startswith("not measured")
    found = bias_between("ai_made", "drawings", np.ones(1), np.ones(9))
    assert (found.num_images, found.bias, found.low, found.high) == (0, None, None, None)
