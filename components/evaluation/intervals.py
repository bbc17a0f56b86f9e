"""Intervals around scores, so that nobody reads a difference into noise."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import norm


def wilson_interval(num_right: float, num_tried: float, confidence: float = 0.95) -> tuple[float, float]:
    """Interval for a proportion that behaves at 0 and 1 and with few trials; (0, 1) for no trials.

    `num_right` may hold halves, for ties; the interval is then a little too wide, never too narrow. `num_tried` may be
    a broken number, for trials that are not independent (`effective_trials`).
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


def effective_trials(shares: Float[np.ndarray, " n"], num_drawings: int) -> float:
    """How many independent trials tell as much of a mean as `n` prompts, each the share of its `num_drawings` trials.

    `n` where a prompt's trials always end alike, `n` times `num_drawings` where they know nothing of each other, and
    never beyond these. Source: Korn and Graubard 1998, Confidence intervals for proportions with small expected number
    of positive counts estimated from survey data (the effective sample size).
    """
    num_prompts = len(shares)
    spread = float(shares.var(ddof=1)) if num_prompts > 1 else 0.0
    if spread == 0:
        return num_prompts
    share = float(shares.mean())
    return float(np.clip(num_prompts * share * (1 - share) / spread, num_prompts, num_prompts * num_drawings))


def resampled_scores(
    statistic: Callable[[Float[np.ndarray, "n d"]], float],
    models: Sequence[Float[np.ndarray, "n d"]],
    *,
    num_resamples: int,
    seed: int,
) -> Float[np.ndarray, "r m"]:
    """`statistic` of each model over rows drawn with replacement, the same rows for all models; seeded.

    A column tells how sure a model's score is; the difference of two columns how sure their difference is, which is
    far surer where both models answer the same rows and find the same ones hard.
    Source: Efron 1979, Bootstrap methods: another look at the jackknife.
    """
    draw = np.random.default_rng(seed)
    num_rows = len(models[0])
    return np.array(
        [
            [statistic(values[rows]) for values in models]
            for rows in (draw.integers(num_rows, size=num_rows) for _ in range(num_resamples))
        ]
    )


def interval_around(value: float, resampled: Float[np.ndarray, " r"], confidence: float = 0.95) -> tuple[float, float]:
    """Percentiles of resampled scores, moved so that their mean lies on `value`.

    A mean moves by next to nothing. A distance is larger in a resample, because a resample repeats rows and is
    narrower than the set it is of; that bias says nothing of how sure the distance is.
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail]) + (value - resampled.mean())
    return min(float(low), value), max(float(high), value)
