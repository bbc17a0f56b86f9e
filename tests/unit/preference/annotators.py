"""Annotators whose taste is known: what the tests of tournaments ask."""

from collections.abc import Mapping

import numpy as np

from components.preference.swiss import ChoiceOf, Match
from components.preference.votes import Choice


def qualities(num_images: int, seed: int) -> dict[str, int]:
    """Images with their true rank, in no order."""
    ranks = np.random.default_rng((seed, 7)).permutation(num_images).tolist()
    return {f"i{number:03d}": rank for number, rank in enumerate(ranks)}


def noisy(quality: Mapping[str, float], noise: float, seed: int) -> ChoiceOf:
    """Somebody who errs in that share of her choices, whatever the images; the same match gets the same choice."""
    drawn = np.random.default_rng((seed, 11))
    made: dict[Match, Choice] = {}

    def choice_of(match: Match) -> Choice:
        if match not in made:
            is_left = (quality[match.left] > quality[match.right]) != (drawn.random() < noise)
            made[match] = "a" if is_left else "b"
        return made[match]

    return choice_of
