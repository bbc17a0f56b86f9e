import numpy as np
import pytest
from scipy.stats import binomtest

from components.evaluation.intervals import effective_trials, interval_around, resampled_scores, wilson_interval


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


def test_a_tie_is_half_a_win() -> None:
    assert wilson_interval(5.5, 11) == pytest.approx((1 - wilson_interval(5.5, 11)[1], 1 - wilson_interval(5.5, 11)[0]))
    low, high = wilson_interval(5.5, 11)
    assert wilson_interval(5, 11)[0] < low < wilson_interval(6, 11)[0]
    assert wilson_interval(5, 11)[1] < high < wilson_interval(6, 11)[1]


def mean(rows: np.ndarray) -> float:
    return float(rows.mean())


def test_bootstrap_of_a_mean_has_the_width_of_its_standard_error() -> None:
    values = np.random.default_rng(1).normal(5, 2, size=(400, 1))
    resampled = resampled_scores(mean, [values], num_resamples=800, seed=3)
    low, high = interval_around(mean(values), resampled[:, 0])
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(400), rel=0.12)
    np.testing.assert_array_equal(resampled, resampled_scores(mean, [values], num_resamples=800, seed=3))


def test_the_difference_of_two_means_has_the_width_of_the_paired_standard_error() -> None:
    draw = np.random.default_rng(5)
    hardness = draw.normal(0, 3, size=(400, 1))
    before, after = (hardness + draw.normal(shift, 0.5, size=(400, 1)) for shift in (0.0, 0.3))
    resampled = resampled_scores(mean, [before, after], num_resamples=800, seed=0)
    gain = mean(after) - mean(before)
    low, high = interval_around(gain, resampled[:, 1] - resampled[:, 0])
    assert (low + high) / 2 == pytest.approx(gain, abs=0.01)
    assert high - low == pytest.approx(2 * 1.96 * (after - before).std() / np.sqrt(400), rel=0.12)
    # Each mean on its own is six times less sure than their difference.
    alone = np.subtract(*interval_around(mean(after), resampled[:, 1])[::-1])
    assert alone > 3 * (high - low)


def test_a_paired_interval_holds_the_planted_difference_about_as_often_as_it_says() -> None:
    draw, held = np.random.default_rng(2), []
    for _ in range(120):
        hardness = draw.normal(0, 2, size=(60, 1))
        before, after = hardness + draw.normal(0, 1, (60, 1)), hardness + draw.normal(0.4, 1, (60, 1))
        resampled = resampled_scores(mean, [before, after], num_resamples=100, seed=0)
        low, high = interval_around(mean(after) - mean(before), resampled[:, 1] - resampled[:, 0])
        held.append(low <= 0.4 <= high)
    assert 0.88 < np.mean(held) < 0.99


def test_an_interval_lies_around_its_value_whatever_the_bias_of_a_resample() -> None:
    low, high = interval_around(2.0, np.linspace(10.0, 12.0, 101))
    assert (low, high) == pytest.approx((1.05, 2.95))


@pytest.mark.parametrize("spread", [0.0, 0.2, 0.35])
def test_drawings_of_one_prompt_count_as_much_as_they_tell(spread: float) -> None:
    draw, num_prompts, num_drawings = np.random.default_rng(0), 400, 4
    means, counted = [], []
    for _ in range(600):
        chances = 0.5 + spread * draw.choice([-1, 1], num_prompts)
        shares = draw.binomial(num_drawings, chances) / num_drawings
        means.append(shares.mean())
        counted.append(effective_trials(shares, num_drawings))
    # Known of this mixture: Var(share of one prompt) = (1/4 - spread^2) / drawings + spread^2.
    expected = 0.25 / ((0.25 - spread**2) / num_drawings + spread**2)
    assert np.mean(counted) / num_prompts == pytest.approx(expected, rel=0.05)
    assert 0.25 / np.var(means) == pytest.approx(np.mean(counted), rel=0.2)


def test_drawings_never_count_for_less_than_one_nor_for_more_than_all() -> None:
    assert effective_trials(np.array([0.0, 1.0] * 10), 3) == 20
    assert effective_trials(np.full(20, 0.5), 3) == 20
    assert effective_trials(np.array([0.4, 0.6] * 10), 3) == 60
    assert effective_trials(np.array([1.0]), 3) == 1
    assert effective_trials(np.array([]), 3) == 0
