"""How far annotators agree: Kendall's W of rankings, Krippendorff's alpha of ratings, and who favours which category.

Ratings are annotators x images, NaN where somebody did not see an image.

Source: Kendall and Babington Smith 1939 with the correction for ties; Krippendorff 2011, "Computing Krippendorff's
Alpha-Reliability".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata, t

Level = Literal["nominal", "ordinal", "interval"]
Ratings = Float[np.ndarray, "annotators images"]


@dataclass(frozen=True)
class Bias:
    """How much higher an annotator rates a category than others rate the same images, beyond what she does overall.

    `low` to `high` holds the true value with 95 % (Student's t over images); it is infinite for a single image.
    """

    annotator: str
    category: str
    num_images: int
    bias: float
    low: float
    high: float


def kendalls_w(ratings: Ratings) -> float:
    """Kendall's W in [0, 1] of the images that all annotators rated; 1 is one order, ties share their mean rank.

    NaN if nobody makes a difference. ValueError for less than two annotators or common images.
    """
    common = ratings[:, ~np.isnan(ratings).any(axis=0)]
    num_annotators, num_images = common.shape
    if num_annotators < 2 or num_images < 2:
        raise ValueError(f"{num_annotators} annotators share {num_images} images; allowed: 2 or more of both")
    ranks = np.stack([rankdata(row) for row in common])
    spread = float(((ranks.sum(axis=0) - ranks.sum() / num_images) ** 2).sum())
    counts = [np.unique(row, return_counts=True)[1] for row in common]
    tied = float(sum((count**3 - count).sum() for count in counts))
    most = num_annotators**2 * (num_images**3 - num_images) - num_annotators * tied
    return 12 * spread / most if most else float("nan")


def krippendorffs_alpha(ratings: Ratings, level: Level) -> float:
    """1 - observed / expected disagreement: 1 is agreement, 0 is chance, below 0 is worse than chance.

    Images that fewer than two annotators rated say nothing. NaN if all ratings are equal or none is shared.
    """
    shared = ratings[:, (~np.isnan(ratings)).sum(axis=0) >= 2]
    values = np.unique(shared[~np.isnan(shared)])
    counts = np.stack([(shared == value).sum(axis=0) for value in values]) if len(values) else np.zeros((0, 0))
    raters = counts.sum(axis=0)
    # How often each value meets each other within an image, each image weighing as much as it has raters.
    met = (counts / np.maximum(raters - 1, 1)) @ counts.T - np.diag((counts / np.maximum(raters - 1, 1)).sum(axis=1))
    totals = met.sum(axis=1)
    distance = _distances(values, totals, level)
    expected = float((np.outer(totals, totals) * distance).sum())
    return 1 - (totals.sum() - 1) * float((met * distance).sum()) / expected if expected else float("nan")


def category_biases(ratings: Ratings, annotators: Sequence[str], categories: Sequence[str]) -> list[Bias]:
    """A row for each annotator and category in which somebody else rated the same images, in the order of names.

    `categories` are those of the images.
    """
    if ratings.shape != (len(annotators), len(categories)):
        raise ValueError(
            f"ratings of {ratings.shape}; allowed: {(len(annotators), len(categories))}, as there are names"
        )
    found: list[Bias] = []
    for number in sorted(range(len(annotators)), key=lambda number: annotators[number]):
        others = np.delete(ratings, number, axis=0)
        seen = np.flatnonzero(~np.isnan(ratings[number]) & (~np.isnan(others)).any(axis=0))
        if not len(seen):
            continue
        ahead = ratings[number, seen] - np.nanmean(others[:, seen], axis=0)
        ahead = ahead - ahead.mean()
        names = np.array(categories)[seen]
        for name in np.unique(names).tolist():
            bias, half = _mean_and_half_width(ahead[names == name])
            count = int((names == name).sum())
            found.append(Bias(annotators[number], name, count, bias, bias - half, bias + half))
    return found


def _mean_and_half_width(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    mean = float(values.mean())
    if len(values) < 2:
        return mean, float("inf")
    return mean, float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def _distances(
    values: Float[np.ndarray, " v"], totals: Float[np.ndarray, " v"], level: Level
) -> Float[np.ndarray, "v v"]:
    """How far apart two values are, squared."""
    match level:
        case "nominal":
            return 1.0 - np.eye(len(values))
        case "interval":
            return (values[:, None] - values[None]) ** 2
        case "ordinal":
            middle = np.cumsum(totals) - totals / 2  # how many ratings lie between two values, with half of their own
            return (middle[:, None] - middle[None]) ** 2
