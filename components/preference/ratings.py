"""What several annotators' votes say of the same images, side by side: the table that agreement is measured on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from components.preference.standings import Result, places, tiers
from components.preference.swiss import POINTS
from components.preference.votes_log import LoggedVote, last_choices


@dataclass(frozen=True)
class Ratings:
    """Places in [0, 1] and tiers 1 to 10 by annotator and image; NaN where somebody did not see an image."""

    annotators: list[str]
    images: list[str]
    places: Float[np.ndarray, "annotators images"]
    tiers: Float[np.ndarray, "annotators images"]


def ratings_of(logs: Mapping[str, Sequence[LoggedVote]], error_rate: float, shares: Sequence[float]) -> Ratings:
    """Each annotator's places and tiers of the images she saw; repeats say nothing of them.

    `error_rate` and `shares` are those of `standings.places` and `standings.tiers`.
    """
    images = sorted({image for votes in logs.values() for vote in votes for image in (vote.image_a, vote.image_b)})
    column = {image: number for number, image in enumerate(images)}
    by_place, by_tier = np.full((2, len(logs), len(images)), np.nan)
    for row, votes in enumerate(logs.values()):
        results = [
            Result(match.left, match.right, POINTS[choice])
            for match, choice in last_choices(list(votes)).items()
            if not match.is_repeat
        ]
        seen = sorted({image for result in results for image in (result.left, result.right)})
        columns = [column[image] for image in seen]
        by_place[row, columns] = places(seen, results, error_rate)
        by_tier[row, columns] = tiers(by_place[row, columns], shares)
    return Ratings(list(logs), images, by_place, by_tier)
