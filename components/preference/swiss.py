"""A Swiss tournament of images: each round pairs images of similar standing, and nobody meets twice.

n images meet in ceil(log2 n) + 2 rounds of n // 2 comparisons, near n log2(n) / 2: 1280 for 256 images, where all
pairs would be 32640. One annotator plays a tournament alone. A tournament is a pure function of its plan and the
choices made, so that it goes on from a log after any end. Some pairs come twice, with sides exchanged, to see whether
the annotator agrees with herself; the second time counts for nothing else.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log2

import numpy as np

from components.preference.standings import Result, standings
from components.preference.votes import Choice


@dataclass(frozen=True)
class Plan:
    """Who plays: names of different images. What is random follows from `seed`.

    `repeat_frac` of a round's comparisons, in [0, 1], are shown once more in the round after it.
    """

    images: tuple[str, ...]
    seed: int
    repeat_frac: float

    def __post_init__(self) -> None:
        if len(self.images) < 2 or len(set(self.images)) < len(self.images):
            twice = [name for name, count in Counter(self.images).items() if count > 1]
            raise ValueError(f"{len(self.images)} images, named twice: {twice[:3]}; allowed: 2 or more different ones")
        if not 0 <= self.repeat_frac <= 1:
            raise ValueError(f"repeat_frac is {self.repeat_frac}; allowed: 0 to 1")


@dataclass(frozen=True)
class Match:
    """Two images side by side: the `number`-th comparison of a round, both from 0. `is_repeat`: shown before."""

    round: int
    number: int
    left: str
    right: str
    is_repeat: bool


@dataclass(frozen=True)
class Played:
    """How far a tournament is: all matches drawn so far, and what those that count came to.

    The last round is the one that is being played, unless `is_over`.
    """

    matches: list[Match]
    results: list[Result]
    is_over: bool


POINTS: dict[Choice, float] = {"a": 1.0, "tie": 0.5, "b": 0.0}
"""What a choice is worth to the left image."""
ChoiceOf = Callable[[Match], Choice | None]
"""What was chosen in a match (a: the left image, b: the right one); None as long as nothing was."""


def num_rounds(num_images: int) -> int:
    """ceil(log2 n) + 2, but no more than it takes until all have met."""
    until_all_met = num_images - 1 + num_images % 2
    return min(ceil(log2(num_images)) + 2, until_all_met)


def num_comparisons(num_images: int, repeat_frac: float = 0.0) -> int:
    """How many comparisons a tournament takes at most, near n log2(n) / 2, with those shown again."""
    rounds, pairs = num_rounds(num_images), num_images // 2
    return rounds * pairs + (rounds - 1) * _num_repeats(pairs, repeat_frac)


def play(plan: Plan, choice_of: ChoiceOf) -> Played:
    """The tournament as far as choices have been made: a round is drawn when the one before it is decided."""
    matches: list[Match] = []
    results: list[Result] = []
    sides = Counter[str]()
    before: list[Match] = []
    for number in range(num_rounds(len(plan.images))):
        drawn = np.random.default_rng((plan.seed, number))
        pairs = draw_round(list(plan.images), results, drawn)
        new = [Match(number, place, *pair, False) for place, pair in enumerate(_seated(pairs, sides, drawn))]
        again = drawn.permutation(len(before))[: _num_repeats(len(before), plan.repeat_frac)].tolist()
        olds = [before[place] for place in sorted(again)]
        shown = new + [Match(number, len(new) + place, old.right, old.left, True) for place, old in enumerate(olds)]
        matches += shown
        chosen: dict[Match, Choice] = {match: choice for match in shown if (choice := choice_of(match))}
        if len(chosen) < len(shown):
            return Played(matches, results, False)
        results += [Result(match.left, match.right, POINTS[chosen[match]]) for match in new]
        before = new
    return Played(matches, results, True)


def draw_round(images: list[str], results: Sequence[Result], drawn: np.random.Generator) -> list[tuple[str, str]]:
    """Neighbours in the standings as pairs, none of which met before; who stands equal is put in a random order.

    Of an odd number the lowest of those that rested least rests. From 12 images on nobody else does: as long as
    everybody has as many left to meet as there are pairs, two that are left over can change partners with a pair. With
    fewer images some may rest rather than meet twice.
    """
    met: dict[str, set[str]] = {image: set() for image in images}
    for result in results:
        met[result.left].add(result.right)
        met[result.right].add(result.left)
    shuffled = [images[place] for place in drawn.permutation(len(images)).tolist()]
    order = [standing.image for standing in standings(shuffled, results)]
    if len(order) % 2:
        order.remove(max(reversed(order), key=lambda image: len(met[image])))
    pairs: list[tuple[str, str]] = []
    alone: list[str] = []
    while order:
        first = order.pop(0)
        second = next((image for image in order if image not in met[first]), None)
        if second is None:
            alone.append(first)
        else:
            order.remove(second)
            pairs.append((first, second))
    return _with_the_rest(pairs, alone, met)


def _with_the_rest(pairs: list[tuple[str, str]], alone: list[str], met: dict[str, set[str]]) -> list[tuple[str, str]]:
    """`pairs`, where those left alone have changed partners with the nearest pairs from below, if that can be."""
    for first, second in zip(alone[::2], alone[1::2], strict=True):
        for place in reversed(range(len(pairs))):
            high, low = pairs[place]
            if low in met[first] or high in met[second]:
                high, low = low, high
            if low not in met[first] and high not in met[second]:
                pairs[place : place + 1] = [(first, low), (second, high)]
                break
    return pairs


def _seated(pairs: Sequence[tuple[str, str]], sides: Counter[str], drawn: np.random.Generator) -> list[tuple[str, str]]:
    """`pairs` as (left, right), in a random order: who stood left less often does now. `sides` keeps the count."""
    seated: list[tuple[str, str]] = []
    for place in drawn.permutation(len(pairs)).tolist():
        left, right = pairs[place]
        lead = sides[left] - sides[right]
        if lead > 0 or (lead == 0 and drawn.random() < 0.5):
            left, right = right, left
        sides[left] += 1
        sides[right] -= 1
        seated.append((left, right))
    return seated


def _num_repeats(num_pairs: int, repeat_frac: float) -> int:
    return ceil(num_pairs * repeat_frac)
