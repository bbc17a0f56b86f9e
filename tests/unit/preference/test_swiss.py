from collections import Counter
from math import log2

import numpy as np
import pytest

from components.preference.standings import Result
from components.preference.swiss import Match, Plan, Played, draw_round, num_comparisons, num_rounds, play
from components.preference.votes import Choice
from tests.unit.preference.annotators import noisy, qualities

SIZES = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 33, 64, 100]
FEW = [6, 8, 10]
"""Here the last rounds can leave two who met everybody else that is free: they rest."""


def played(num_images: int, seed: int, repeat_frac: float = 0.0, noise: float = 0.1) -> Played:
    quality = qualities(num_images, seed)
    return play(Plan(tuple(quality), seed, repeat_frac), noisy(quality, noise, seed))


def pair(match: Match) -> frozenset[str]:
    return frozenset((match.left, match.right))


@pytest.mark.parametrize(("num_images", "rounds"), [(2, 1), (3, 3), (4, 3), (8, 5), (9, 6), (256, 10), (257, 11)])
def test_rounds_are_two_more_than_halvings_but_no_more_than_there_are_opponents(num_images: int, rounds: int) -> None:
    assert num_rounds(num_images) == rounds


@pytest.mark.parametrize("num_images", [64, 256, 1000, 4096])
def test_comparisons_are_near_n_log_n_halves(num_images: int) -> None:
    assert 1 <= num_comparisons(num_images) / (num_images * log2(num_images) / 2) < 1.4
    assert num_comparisons(256) == 1280


@pytest.mark.parametrize("num_images", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_nobody_meets_twice_nor_plays_twice_in_a_round_and_all_play(num_images: int, seed: int) -> None:
    found = played(num_images, seed)
    assert found.is_over
    assert len({pair(match) for match in found.matches}) == len(found.matches) == len(found.results)
    per_round = Counter(match.round for match in found.matches)
    assert set(per_round) == set(range(num_rounds(num_images)))
    spare = 2 if num_images in FEW else 0
    assert num_images // 2 - spare <= min(per_round.values()) <= max(per_round.values()) == num_images // 2
    for number in per_round:
        images = [image for match in found.matches if match.round == number for image in (match.left, match.right)]
        assert len(images) == len(set(images))
    plays = Counter(image for match in found.matches for image in (match.left, match.right))
    assert max(plays.values()) - min(plays.values()) <= num_images % 2 + spare  # the odd image rests, each at most once


@pytest.mark.parametrize("num_images", [9, 64, 101])
def test_each_image_stands_left_as_often_as_right(num_images: int) -> None:
    sides = Counter[str]()
    for match in played(num_images, 0).matches:
        sides[match.left] += 1
        sides[match.right] -= 1
    assert max(abs(lead) for lead in sides.values()) <= 3
    assert np.mean([abs(lead) for lead in sides.values()]) < 1.2


def test_without_noise_later_rounds_pair_neighbours() -> None:
    quality = qualities(128, 0)
    found = play(Plan(tuple(quality), 0, 0.0), noisy(quality, 0.0, 0))
    apart = [
        np.mean([abs(quality[match.left] - quality[match.right]) for match in found.matches if match.round == number])
        for number in range(num_rounds(128))
    ]
    assert apart[0] == pytest.approx(128 / 3, rel=0.25)  # of two drawn at random
    assert np.mean(apart[-3:]) < apart[0] / 3


@pytest.mark.parametrize("seed", range(20))
def test_whatever_was_played_nobody_meets_again_while_there_are_others(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    images = [f"i{number}" for number in range(12)]
    results: list[Result] = []
    for _ in range(6):  # as many rounds as there are pairs: each still has 6 or more to meet
        pairs = draw_round(images, results, drawn)
        assert sorted(image for two in pairs for image in two) == sorted(images)
        assert not {frozenset(two) for two in pairs} & {frozenset((one.left, one.right)) for one in results}
        results += [Result(*two, float(drawn.integers(2))) for two in pairs]


def test_repeats_are_pairs_of_the_round_before_with_sides_exchanged_and_count_for_nothing() -> None:
    found = played(64, 1, repeat_frac=0.1, noise=0.3)
    once = {(match.round, match.left, match.right) for match in found.matches if not match.is_repeat}
    again = [match for match in found.matches if match.is_repeat]
    assert len(found.matches) == num_comparisons(64, 0.1)
    assert len(again) == 7 * 4
    assert all((match.round - 1, match.right, match.left) in once for match in again)
    assert len(found.results) == num_comparisons(64)


def test_a_tournament_is_a_function_of_the_choices_and_goes_on_where_they_end() -> None:
    quality = qualities(33, 5)
    plan, person = Plan(tuple(quality), 5, 0.1), noisy(quality, 0.1, 5)
    whole = play(plan, person)
    for stopped_at in (0, 1, 17, 60):
        known = {match: person(match) for match in whole.matches[:stopped_at]}
        part = play(plan, known.get)
        assert not part.is_over
        assert part.matches == whole.matches[: len(part.matches)]
        assert stopped_at < len(part.matches) <= stopped_at + 20
    choices: dict[Match, Choice | None] = {match: person(match) for match in whole.matches}
    assert play(plan, choices.get) == whole


@pytest.mark.parametrize(
    ("images", "repeat_frac", "told"),
    [(("x",), 0.0, "1 images"), (("x", "y", "x"), 0.0, "named twice: \\['x'\\]"), (("x", "y"), 1.5, "repeat_frac is")],
)
def test_a_plan_that_cannot_be_played_is_refused(images: tuple[str, ...], repeat_frac: float, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Plan(images, 0, repeat_frac)
