"""Two-level sampling: which category, then which image of it, as probabilities that sum to one.

p(c) is proportional to n_c^a exp(b mean_aes_c), p(i|c) to exp(aes_i / T), p(i) = p(c) p(i|c). Aesthetic scores are
standardised over the corpus first, so b and T have no units, and all is computed in log space. Our additions, which
the report does not have: the mean score of a small category is shrunk towards the global mean; a category gets at least
`min_category_frac`; and no image is expected more than `max_repeats` times per epoch. So p(c) lies between two bounds,
the second being n_c times the cap; what a bound takes or gives is shared by the other categories in proportion, and
what the cap takes from an image goes to the other images of its category.

The corpus is read a few times in batches of (category number, score), and only numbers per category are kept: a hundred
million images need no more memory than one batch.

Source: ERNIE-Image report 2026, section 2.1, gives the two levels in words; the formula is our reading of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from components.data.config import TwoLevelSampling

Batch = tuple[Int64[np.ndarray, " m"], Float[np.ndarray, " m"]]
Corpus = Callable[[], Iterable[Batch]]
"""Category numbers and scores of every image, batch by batch; every call begins anew with the same batches."""
_TOLERANCE = 1e-12
_LOWEST = -1e300


@dataclass(frozen=True)
class Sampling:
    """Two-level sampling fitted to a corpus: all that the probability of an image depends on besides itself.

    `image_log_scale`: in category c an image has probability min(cap, exp(image_log_scale_c + aes_i / T)).
    """

    counts: Int64[np.ndarray, " k"]
    mean_scores: Float[np.ndarray, " k"]
    category_probability: Float[np.ndarray, " k"]
    image_log_scale: Float[np.ndarray, " k"]
    score_mean: float
    score_deviation: float
    temperature: float
    cap: float

    def probabilities(self, place: Int64[np.ndarray, " m"], scores: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """The probability of images in the categories `place` with `scores`."""
        quality = _standardised(scores, self.score_mean, self.score_deviation) / self.temperature
        return np.exp(np.minimum(self.image_log_scale[place] + quality, np.log(self.cap)))


def fit_sampling(corpus: Corpus, num_categories: int, p: TwoLevelSampling) -> Sampling:
    """Sampling of a corpus with categories numbered from 0.

    ValueError for no image, scores that are not finite, or parameters out of range.
    """
    _check(p, num_categories)
    moments = _moments(corpus, num_categories)
    num_images = int(moments.counts.sum())
    if not num_images:
        raise ValueError("there are no images; allowed: at least one")
    cap = p.max_repeats / num_images
    mean, deviation = moments.sums.sum() / num_images, moments.deviation
    category_probability = category_probabilities(moments.counts, moments.standardised_sums(), p)

    def qualities() -> Iterable[Batch]:
        return ((place, _standardised(scores, mean, deviation) / p.temperature) for place, scores in corpus())

    return Sampling(
        counts=moments.counts,
        mean_scores=moments.sums / np.maximum(moments.counts, 1),
        category_probability=category_probability,
        image_log_scale=_image_log_scale(qualities, category_probability, moments.counts, cap),
        score_mean=float(mean),
        score_deviation=deviation,
        temperature=p.temperature,
        cap=cap,
    )


def category_probabilities(
    counts: Int64[np.ndarray, " k"], aes_sums: Float[np.ndarray, " k"], p: TwoLevelSampling
) -> Float[np.ndarray, " k"]:
    """p(c) within its bounds; `aes_sums` add up scores of mean 0, so shrinking is towards 0. 0 for empty categories."""
    ceilings = counts * (p.max_repeats / counts.sum())
    floors = np.minimum(p.min_category_frac, ceilings)
    means = aes_sums / np.maximum(counts + p.shrinkage_images, _TOLERANCE)
    log_weights = p.size_exponent * np.log(np.maximum(counts, 1)) + p.quality_weight * means
    return bounded(log_weights, floors, ceilings)


def bounded(
    log_weights: Float[np.ndarray, " k"], floors: Float[np.ndarray, " k"], ceilings: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Numbers that sum to 1 within the bounds, those strictly inside in proportion to exp(log_weights).

    The floors must sum to 1 or less, the ceilings to 1 or more.
    """
    high = float(np.max(np.log(np.maximum(ceilings, 1e-300)) - log_weights))
    low = high - 3000.0
    for _ in range(100):  # halves the range of the logarithm of the common factor
        middle = (low + high) / 2
        total = np.clip(np.exp(np.minimum(log_weights + middle, 1.0)), floors, ceilings).sum()
        low, high = (low, middle) if total > 1 else (middle, high)
    scaled = np.exp(np.minimum(log_weights + low, 1.0))
    is_free = (scaled > floors) & (scaled < ceilings)
    held = np.clip(scaled, floors, ceilings)[~is_free].sum()
    if is_free.any():
        scaled[is_free] *= (1 - held) / scaled[is_free].sum()
    return np.clip(scaled, floors, ceilings)


def entropy_bits(probability: Float[np.ndarray, " k"]) -> float:
    """Entropy in bits; the probabilities sum to 1."""
    positive = probability[probability > 0]
    return float(-(positive * np.log2(positive)).sum())


@dataclass
class _Moments:
    """Images and sum of scores per category, and the spread of all scores, merged batch by batch."""

    counts: Int64[np.ndarray, " k"]
    sums: Float[np.ndarray, " k"]
    squares: float = 0.0

    @property
    def deviation(self) -> float:
        return float(np.sqrt(self.squares / max(self.counts.sum(), 1)))

    def standardised_sums(self) -> Float[np.ndarray, " k"]:
        mean = self.sums.sum() / self.counts.sum()
        return (self.sums - self.counts * mean) / (self.deviation or 1.0)

    def add(self, place: Int64[np.ndarray, " m"], scores: Float[np.ndarray, " m"]) -> None:
        """Source: Chan, Golub, LeVeque 1983, doi:10.1080/00031305.1983.10483115 (merging sums of squares)."""
        before, here = int(self.counts.sum()), len(scores)
        shift = scores.mean() - self.sums.sum() / max(before, 1)
        self.squares += float(((scores - scores.mean()) ** 2).sum() + shift**2 * before * here / (before + here))
        self.counts += np.bincount(place, minlength=len(self.counts))
        self.sums += np.bincount(place, weights=scores, minlength=len(self.sums))


def _moments(corpus: Corpus, num_categories: int) -> _Moments:
    moments = _Moments(np.zeros(num_categories, np.int64), np.zeros(num_categories))
    for place, scores in corpus():
        if not np.isfinite(scores).all():
            raise ValueError(f"{int((~np.isfinite(scores)).sum())} scores are not finite; allowed: finite numbers")
        if len(scores):
            moments.add(place, np.asarray(scores, np.float64))
    return moments


def _image_log_scale(
    qualities: Corpus, category_probability: Float[np.ndarray, " k"], counts: Int64[np.ndarray, " k"], cap: float
) -> Float[np.ndarray, " k"]:
    """The logarithm of each category's common factor, with which its images, capped, sum to its probability.

    Every pass finds images that the factor lifts above the cap, and raises the factor for the rest; the capped ones
    only become more, so it ends, usually after one pass or two.
    """
    num_capped = np.zeros_like(counts)
    scale = np.full(len(counts), -np.inf)
    while True:
        peak, total = np.full(len(counts), _LOWEST), np.zeros(len(counts))
        now_capped = np.zeros_like(counts)
        for place, quality in qualities():
            is_capped = np.exp(np.minimum(scale[place] + quality, 1.0)) > cap * (1 + _TOLERANCE)
            now_capped += np.bincount(place[is_capped], minlength=len(counts))
            peak, total = _add_exponentials(peak, total, place[~is_capped], quality[~is_capped])
        if np.isfinite(scale).any() and (now_capped == num_capped).all():
            return scale
        num_capped = now_capped
        free = np.maximum(category_probability - cap * num_capped, 0.0)
        with np.errstate(divide="ignore"):
            scale = np.where(total > 0, np.log(free) - np.log(total) - peak, np.inf)


def _add_exponentials(
    peak: Float[np.ndarray, " k"],
    total: Float[np.ndarray, " k"],
    place: Int64[np.ndarray, " m"],
    quality: Float[np.ndarray, " m"],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """`total` exp(`peak`) per category with exp(quality) added, kept with the new peak so that nothing overflows."""
    higher = peak.copy()
    np.maximum.at(higher, place, quality)
    return higher, total * np.exp(peak - higher) + np.bincount(
        place, weights=np.exp(quality - higher[place]), minlength=len(total)
    )


def _standardised(scores: Float[np.ndarray, " m"], mean: float, deviation: float) -> Float[np.ndarray, " m"]:
    """Scores with mean 0 and deviation 1 over the corpus (all 0 where they do not vary)."""
    return (np.asarray(scores, np.float64) - mean) / (deviation or 1.0)


def _check(p: TwoLevelSampling, num_categories: int) -> None:
    if p.temperature <= 0 or p.max_repeats < 1 or p.shrinkage_images < 0 or not 0 <= p.size_exponent <= 1:
        raise ValueError(
            f"{p}; allowed: temperature above 0, max_repeats 1 or more, shrinkage_images 0 or more, "
            "size_exponent from 0 to 1"
        )
    if p.min_category_frac < 0 or p.min_category_frac * num_categories > 1:
        raise ValueError(
            f"min_category_frac is {p.min_category_frac} with {num_categories} categories; "
            f"allowed: 0 to {1 / max(num_categories, 1):.4g}"
        )
