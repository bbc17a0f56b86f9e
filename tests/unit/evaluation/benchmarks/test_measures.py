"""Scores of drawings whose answer is known in closed form."""

import numpy as np
import pytest

from components.evaluation.benchmarks.measures import (
    DIVERSITY,
    EDIT_DISTANCE,
    TEXT,
    WORD_ACCURACY,
    longtext_scores,
    oneig_text_scores,
    variety_scores,
)
from components.evaluation.benchmarks.suite import Case

CASES = [Case("0", "p", "sign", "Open daily"), Case("1", "q", "poster", "Summer")]


def test_variety_is_half_the_chord_between_directions() -> None:
    features = np.zeros((2, 4, 8), np.float32)
    features[0, :, 0] = [1, 2, 3, 4]  # one direction: alike
    features[1, np.arange(4), np.arange(4)] = 5  # four directions at right angles
    everything, alike, apart = variety_scores(CASES, features)
    assert (alike.value, apart.value) == pytest.approx((0, np.sqrt(2) / 2))
    assert everything.value == pytest.approx(np.sqrt(2) / 4)
    assert [one.metric for one in (everything, alike, apart)] == [DIVERSITY] * 3
    assert [one.group for one in (everything, alike, apart)] == ["", "sign", "poster"]


def test_letters_are_scored_over_all_drawings_and_by_group() -> None:
    read = [["OPEN daily", "open"], ["summer", ""]]
    found = {
        (one.metric, one.group): one.value for one in longtext_scores(CASES, read, "en", WORD_ACCURACY, "r", False)
    }
    assert found[WORD_ACCURACY, ""] == pytest.approx(4 / 6)
    assert found[WORD_ACCURACY, "sign"] == pytest.approx(3 / 4)
    assert found[EDIT_DISTANCE, ""] == pytest.approx(np.mean([(0 + 6 / 10) / 2, (0 + 1) / 2]))


def test_the_other_benchmark_minds_case() -> None:
    read = [["Open daily", "open daily"], ["Summer", "Summer"]]
    found = {one.metric: one.value for one in oneig_text_scores(CASES, read, "en") if not one.group}
    assert found[WORD_ACCURACY] == pytest.approx(5 / 6)
    assert found[TEXT] == pytest.approx(1 - 0.25 * (1 / 4) * (1 / 6) / 100)
