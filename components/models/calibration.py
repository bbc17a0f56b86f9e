"""How far a classifier's probabilities can be believed, and the one number that mends most of it.

Source: Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599 (temperature scaling, section 4.2;
expected calibration error, eq. 3).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

NUM_BINS = 15
_LOG_RANGE = np.log(20.0)


def mean_nll(logits: Float[np.ndarray, "n k"], labels: Int64[np.ndarray, " n"]) -> float:
    """Mean negative log likelihood of the labels (numbers of columns), in nats."""
    return float(-log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels].mean())


def calibration_error(logits: Float[np.ndarray, "n k"], labels: Int64[np.ndarray, " n"]) -> float:
    """Expected gap between the probability of the best class and how often it is right, over 15 bins of equal count.

    0 for no rows. Bins of equal count, because nearly all rows of a good classifier fall into the last of equal width.
    """
    if not len(labels):
        return 0.0
    confidence = np.exp(log_softmax(logits.astype(np.float64), axis=1).max(axis=1))
    gap = confidence - (logits.argmax(axis=1) == labels)
    bins = np.array_split(np.argsort(confidence, kind="stable"), min(NUM_BINS, len(labels)))
    return float(sum(abs(gap[rows].sum()) for rows in bins) / len(labels))


def fit_temperature(logits: Float[np.ndarray, "n k"], labels: Int64[np.ndarray, " n"]) -> float:
    """The temperature in [1/20, 20] whose division of the logits makes the labels likeliest; 1 for no rows.

    The likelihood is concave in 1 / temperature, so there is one best.
    """
    if not len(labels):
        return 1.0
    bounds = (-_LOG_RANGE, _LOG_RANGE)
    found = minimize_scalar(lambda log: mean_nll(logits / np.exp(log), labels), bounds=bounds, method="bounded")
    return float(np.exp(found.x))


@dataclass(frozen=True)
class Calibration:
    """A temperature, and the calibration error before and after it, on rows that did not choose theirs."""

    temperature: float
    error_raw: float
    error: float


def calibrate(
    logits: Float[np.ndarray, "n k"], labels: Int64[np.ndarray, " n"], is_first: Bool[np.ndarray, " n"]
) -> Calibration:
    """The temperature of all rows; its error is of each half (`is_first` or not) at the other half's temperature."""
    crossed = logits.astype(np.float64)
    for half in (is_first, ~is_first):
        crossed[half] /= fit_temperature(logits[~half], labels[~half])
    return Calibration(
        fit_temperature(logits, labels), calibration_error(logits, labels), calibration_error(crossed, labels)
    )
