from collections.abc import Callable

import numpy as np
import pytest

from components.preference.calibration import (
    CalibrationRules,
    Known,
    Verdict,
    calibrate,
    calibration_matches,
    reliability,
)
from components.preference.swiss import Match, Plan, play
from components.preference.votes import Choice
from tests.unit.preference.annotators import noisy, qualities

RULES = CalibrationRules(min_accuracy=0.8, min_consistency=0.6, min_side_p=0.001)
KNOWN = [Known(f"good{number}", f"bad{number}") for number in range(12)]
QUALITY = {image: float(image.startswith("good")) for pair in KNOWN for image in (pair.better, pair.worse)}


def asked(answer: Callable[[Match], Choice | None], seed: int = 0) -> Verdict:
    choices = {match: choice for match in calibration_matches(KNOWN, seed) if (choice := answer(match))}
    return calibrate(choices, KNOWN, RULES)


@pytest.mark.parametrize("seed", range(5))
def test_each_pair_comes_twice_with_sides_exchanged_and_the_better_is_left_in_half(seed: int) -> None:
    matches = calibration_matches(KNOWN, seed)
    for is_repeat in (False, True):
        shown = [match for match in matches if match.is_repeat == is_repeat]
        assert {frozenset((match.left, match.right)) for match in shown} == {
            frozenset((pair.better, pair.worse)) for pair in KNOWN
        }
        assert sum(match.left.startswith("good") for match in shown) == 6
    assert len({(match.left, match.right) for match in matches}) == 24
    assert matches == calibration_matches(KNOWN, seed)
    assert matches != calibration_matches(KNOWN, seed + 1)


def test_who_sees_the_difference_passes() -> None:
    verdict = asked(noisy(QUALITY, 0.0, 0))
    assert (verdict.has_passed, verdict.accuracy, verdict.reasons) == (True, 1.0, [])
    assert (verdict.reliability.consistency, verdict.reliability.left_share) == (1.0, 0.5)


@pytest.mark.parametrize(("side", "share"), [("a", "100%"), ("b", "0%")])
def test_who_always_clicks_one_side_is_caught_by_all_three(side: Choice, share: str) -> None:
    verdict = asked(lambda match: side)
    assert not verdict.has_passed
    assert verdict.accuracy == 0.5
    assert verdict.reliability.consistency == 0.0
    assert verdict.reliability.side_p == pytest.approx(2 / 2**24)
    assert [reason.split(";")[0] for reason in verdict.reasons] == [
        "right in 50% of the votes",
        "the same again in 0% of the repeats",
        f"the left image in {share} of the votes, however the sides were dealt",
    ]


def test_who_always_ties_and_who_clicks_at_random_do_not_pass() -> None:
    assert not asked(lambda match: "tie").has_passed
    assert sum(asked(noisy(QUALITY, 0.5, seed), seed).has_passed for seed in range(50)) <= 1


def test_most_who_err_a_little_pass() -> None:
    assert sum(asked(noisy(QUALITY, 0.05, seed), seed).has_passed for seed in range(50)) >= 46


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3, 0.5])
def test_repeats_of_a_tournament_say_how_often_somebody_errs(noise: float) -> None:
    found: list[float] = []
    for seed in range(2):
        quality = qualities(128, seed)
        person = noisy(quality, noise, seed)
        played = play(Plan(tuple(quality), seed, 0.5), person)
        seen = reliability({match: choice for match in played.matches if (choice := person(match))})
        assert seen.side_p > 1e-4
        assert seen.num_repeats == 8 * 32
        assert seen.consistency is not None
        found.append(seen.consistency)
    assert np.mean(found) == pytest.approx((1 - noise) ** 2 + noise**2, abs=0.05)


def test_always_left_shows_in_a_tournament_too() -> None:
    quality = qualities(64, 0)
    played = play(Plan(tuple(quality), 0, 0.1), lambda match: "a")
    found = reliability(dict.fromkeys(played.matches, "a"))
    assert (found.left_share, found.consistency) == (1.0, 0.0)
    assert found.side_p < 1e-50


def test_a_tie_against_a_choice_agrees_by_half_and_without_repeats_nothing_is_said() -> None:
    first, again = Match(0, 0, "x", "y", False), Match(1, 0, "y", "x", True)
    agreed: list[tuple[Choice, Choice, float]] = [("a", "b", 1), ("a", "a", 0), ("a", "tie", 0.5), ("tie", "tie", 1)]
    for one, other, expected in agreed:
        assert reliability({first: one, again: other}).consistency == expected
    assert reliability({first: "tie"}).consistency is None
    assert reliability({}).side_p == 1.0


def test_a_test_that_is_not_finished_and_rules_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="0 answers to 12 pairs"):
        calibrate({}, KNOWN, RULES)
    with pytest.raises(ValueError, match="min_accuracy is 80"):
        CalibrationRules(80, 0.6, 0.001)
