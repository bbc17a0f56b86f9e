import numpy as np
import pytest
from scipy.stats import spearmanr

from components.preference.standings import EQUAL_SHARES, Result, places, standings, tier_scores, tiers
from components.preference.swiss import Plan, play
from tests.unit.preference.annotators import noisy, qualities


def test_the_order_is_by_wins_then_by_the_wins_of_the_opponents() -> None:
    # a beats b, b beats c, c ties with d, a and d rest in one round each.
    results = [Result("a", "b", 1.0), Result("c", "b", 0.0), Result("d", "c", 0.5)]
    found = standings(["d", "c", "b", "a"], results)
    assert [(one.image, one.wins, one.opponents) for one in found] == [
        ("a", 1.5, 1.0),
        ("b", 1.0, 2.0),
        ("d", 1.0, 0.5),
        ("c", 0.5, 2.0),
    ]


def test_wins_of_all_rounds_sum_to_half_of_what_is_played_and_rested() -> None:
    quality = qualities(33, 0)
    found = play(Plan(tuple(quality), 0, 0.0), noisy(quality, 0.1, 0))
    order = standings(list(quality), found.results)
    assert sum(one.wins for one in order) == pytest.approx(33 * 8 / 2)


def test_an_annotator_with_ten_percent_noise_recovers_the_true_order() -> None:
    found: list[float] = []
    for seed in range(6):
        quality = qualities(256, seed)
        played = play(Plan(tuple(quality), seed, 0.05), noisy(quality, 0.1, seed))
        found.append(spearmanr(places(list(quality), played.results, 0.1), list(quality.values()))[0])
    assert min(found) >= 0.94
    assert np.mean(found) >= 0.95


@pytest.mark.parametrize("error_rate", [0.02, 0.1, 0.2])
def test_without_noise_the_order_is_nearly_exact_whatever_rate_is_thought(error_rate: float) -> None:
    quality = qualities(64, 2)
    played = play(Plan(tuple(quality), 2, 0.0), noisy(quality, 0.0, 2))
    assert spearmanr(places(list(quality), played.results, error_rate), list(quality.values()))[0] > 0.97


def test_with_one_comparison_places_are_what_bayes_says() -> None:
    # With places uniform in [0, 1] the winner's density is 2 (e + (1 - 2e) x): its mean is 1/2 + (1 - 2e) / 6.
    found = places(["a", "b", "c"], [Result("a", "b", 1.0)], 0.1)
    assert found == pytest.approx([0.5 + 0.8 / 6, 0.5 - 0.8 / 6, 0.5], abs=1e-3)


def test_exchanging_sides_changes_nothing_and_reversing_all_results_reverses_the_places() -> None:
    drawn = np.random.default_rng(0)
    images = [f"i{number}" for number in range(20)]
    points = [0.0, 0.5, 1.0]
    results = [
        Result(*drawn.choice(images, 2, replace=False).tolist(), points[int(drawn.integers(3))]) for _ in range(100)
    ]
    found = places(images, results, 0.1)
    exchanged = [Result(one.right, one.left, 1 - one.points) for one in results]
    np.testing.assert_allclose(places(images, exchanged, 0.1), found, atol=1e-9)
    reversed_ = [Result(one.left, one.right, 1 - one.points) for one in results]
    np.testing.assert_allclose(places(images, reversed_, 0.1), 1 - found, atol=1e-9)


def test_a_tie_draws_two_images_together() -> None:
    images = ["top", "x", "y", "low"]
    known = [Result("top", "x", 1.0), Result("top", "y", 1.0), Result("x", "low", 1.0), Result("top", "low", 1.0)]
    apart = places(images, known, 0.1)
    tied = places(images, [*known, Result("x", "y", 0.5)], 0.1)
    assert abs(tied[1] - tied[2]) < abs(apart[1] - apart[2])


@pytest.mark.parametrize("rate", [0.0, 0.5, -1.0, float("nan")])
def test_an_error_rate_that_cannot_be_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="error_rate is"):
        places(["a"], [], rate)


def test_each_tier_has_its_share_and_scores_run_from_0_to_100() -> None:
    values = np.random.default_rng(0).permutation(200).astype(np.float64)
    found = tiers(values, EQUAL_SHARES)
    assert np.bincount(found, minlength=11).tolist() == [0] + [20] * 10
    assert (np.diff(found[np.argsort(values)]) >= 0).all()
    shares = (0.02, 0.05, 0.08, 0.15, 0.2, 0.2, 0.15, 0.08, 0.05, 0.02)
    assert np.bincount(tiers(values, shares), minlength=11)[1:].tolist() == [round(200 * share) for share in shares]
    assert tier_scores(np.array([1, 2, 10])) == pytest.approx([0, 100 / 9, 100])


def test_equal_values_share_a_tier() -> None:
    assert len(set(tiers(np.full(40, 3.0), EQUAL_SHARES).tolist())) == 1
    assert tiers(np.zeros(0), EQUAL_SHARES).tolist() == []


@pytest.mark.parametrize("shares", [(1.0,), (0.2,) * 10, (-0.1, 0.2, *(0.1125,) * 8)])
def test_shares_that_are_no_shares_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="shares are"):
        tiers(np.ones(3), shares)
