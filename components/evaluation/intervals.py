"""Intervals around scores, so that nobody reads a difference into noise."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.stats import norm


def wilson_interval(num_right: int, num_tried: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval for a proportion that behaves at 0 and 1 and with few trials; (0, 1) for no trials.

    Source: Wilson 1927, Probable inference, the law of succession, and statistical inference.
    """
    if not 0 <= num_right <= num_tried:
        raise ValueError(f"{num_right} right of {num_tried} tried: allowed is 0 <= right <= tried")
    if num_tried == 0:
        return 0.0, 1.0
    z = float(norm.ppf((1 + confidence) / 2))
    share, spread = num_right / num_tried, z * z / num_tried
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * float(np.sqrt(share * (1 - share) / num_tried + spread / (4 * num_tried)))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_interval(
    statistic: Callable[[Float[np.ndarray, "n d"]], float],
    values: Float[np.ndarray, "n d"],
    *,
    num_resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Percentiles of `statistic` over rows drawn with replacement; seeded.

    Source: Efron 1979, Bootstrap methods: another look at the jackknife.
    """
    draw = np.random.default_rng(seed)
    results = [statistic(values[draw.integers(len(values), size=len(values))]) for _ in range(num_resamples)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(results, [tail, 1 - tail])
    return float(low), float(high)
