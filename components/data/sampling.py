"""Two-level sampling: which category, then which image of it, as probabilities that sum to one.

p(c) is proportional to n_c^a exp(b mean_aes_c), p(i|c) to exp(aes_i / T), p(i) = p(c) p(i|c). Aesthetic scores are
standardised over the corpus first, so b and T have no units, and all is computed in log space. Our additions, which
the report does not have: the mean score of a small category is shrunk towards the global mean, and no image is expected
more than `max_repeats` times per epoch; what the cap takes away goes to the others in proportion.

Source: ERNIE-Image report 2026, section 2.1, gives the two levels in words; the formula is our reading of them.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64
from scipy.special import logsumexp

from components.data.config import TwoLevelSampling


def standardise(scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Scores with mean 0 and deviation 1 (all 0 where they do not vary)."""
    centred = np.asarray(scores, np.float64) - np.mean(scores)
    deviation = centred.std()
    return centred / deviation if deviation > 0 else centred


def sampling_probabilities(
    categories: Sequence[str], scores: Float[np.ndarray, " n"], p: TwoLevelSampling
) -> Float[np.ndarray, " n"]:
    """Probability of each image; sums to 1, none above max_repeats / n.

    ValueError for no image, scores that are not finite, or parameters out of range.
    """
    _check(categories, scores, p)
    aes = standardise(scores)
    names, place = np.unique(np.array(categories, dtype=str), return_inverse=True)
    log_p = category_log_probabilities(place, aes, p)[place]
    quality = aes / p.temperature
    normaliser = np.array([logsumexp(quality[place == c]) for c in range(len(names))])
    return capped(log_p + quality - normaliser[place], p.max_repeats / len(aes))


def category_log_probabilities(
    place: Int64[np.ndarray, " n"], aes: Float[np.ndarray, " n"], p: TwoLevelSampling
) -> Float[np.ndarray, " k"]:
    """Log p(c) of the categories 0 to k - 1 that `place` numbers; `aes` has mean 0, so shrinking is towards 0."""
    sizes = np.bincount(place).astype(np.float64)
    means = np.bincount(place, weights=aes) / (sizes + p.shrinkage_images)
    weight = p.size_exponent * np.log(sizes) + p.quality_weight * means
    return weight - np.asarray(logsumexp(weight))


def capped(log_p: Float[np.ndarray, " n"], cap: float) -> Float[np.ndarray, " n"]:
    """exp(log_p) with nothing above `cap`, the rest scaled up alike so that the sum is 1."""
    is_capped = np.zeros(len(log_p), bool)
    while True:
        free_mass = 1.0 - cap * is_capped.sum()
        if is_capped.all():
            return np.full(len(log_p), 1.0 / len(log_p))
        log_scale = np.log(max(free_mass, 0.0) + 1e-300) - logsumexp(log_p[~is_capped])
        result = np.where(is_capped, cap, np.exp(log_p + log_scale))
        above = ~is_capped & (result > cap * (1 + 1e-12))
        if not above.any():
            return result
        is_capped |= above


def category_entropy_bits(categories: Sequence[str], probability: Float[np.ndarray, " n"]) -> float:
    """Entropy in bits of the categories' total probabilities."""
    _, place = np.unique(np.array(categories, dtype=str), return_inverse=True)
    mass = np.bincount(place, weights=probability)
    mass = mass[mass > 0]
    return float(-(mass * np.log2(mass)).sum())


def _check(categories: Sequence[str], scores: Float[np.ndarray, " n"], p: TwoLevelSampling) -> None:
    if not len(categories) or len(categories) != len(scores):
        raise ValueError(f"{len(categories)} categories and {len(scores)} scores; allowed: as many, at least one")
    if not np.isfinite(scores).all():
        raise ValueError(f"{int((~np.isfinite(scores)).sum())} scores are not finite; allowed: finite numbers")
    if p.temperature <= 0 or p.max_repeats < 1 or p.shrinkage_images < 0 or not 0 <= p.size_exponent <= 1:
        raise ValueError(
            f"{p}; allowed: temperature above 0, max_repeats 1 or more, shrinkage_images 0 or more, "
            "size_exponent from 0 to 1"
        )
