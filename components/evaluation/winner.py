"""Which of several models is ahead in a metric, said only where it is so beyond the noise."""

import numpy as np

from components.evaluation.comparison import NUM_RESAMPLES, Metric
from components.evaluation.intervals import interval_around, resampled_scores

CONFIDENCE = 0.95


def winner(metric: Metric) -> str | None:
    """The model that is better than every other, or None where the interval of one of its leads holds 0.

    Intervals are of paired differences: the same prompts, the same noise. Each is as wide as so many comparisons need,
    so that a winner is named by chance alone in one of twenty metrics at most.
    Source: Dunn 1961, Multiple comparisons among means (the Bonferroni correction).
    """
    models, readings = list(metric.generated), list(metric.generated.values())
    sign = -1 if metric.unit == "distance" else 1
    values = sign * np.array([metric.statistic(rows) for rows in readings])
    best = int(values.argmax())
    others = [number for number in range(len(models)) if number != best]
    if not others:
        return None
    resampled = sign * resampled_scores(metric.statistic, readings, num_resamples=NUM_RESAMPLES, seed=0)
    confidence = 1 - (1 - CONFIDENCE) / len(others)
    leads = [
        interval_around(float(values[best] - values[other]), resampled[:, best] - resampled[:, other], confidence)
        for other in others
    ]
    return models[best] if min(low for low, _ in leads) > 0 else None
