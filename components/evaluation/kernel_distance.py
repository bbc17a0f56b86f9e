"""The kernel distance between two sets of features: the squared maximum mean discrepancy under a cubic kernel.

Unlike the Fréchet distance it takes neither set for a Gaussian, and its estimate is unbiased whatever the number of
images, so sets of different sizes can be compared; the price is that it may fall below 0 where the sets are alike.
Called "Lite0 kernel distance" when the features are EfficientNet-Lite0's, and never KID: that name belongs to one
Inception network.
Source: Gretton et al. 2012, A kernel two-sample test, lemma 6; as a score of images Bińkowski et al. 2018,
arXiv:1801.01401, section 4 (the kernel).
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int


def cubic_kernel(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """(a.b / d + 1)^3 of each row of one with each row of the other, in float64."""
    return (a.astype(np.float64) @ b.astype(np.float64).T / a.shape[1] + 1) ** 3


def kernel_distance(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """The unbiased estimate, from all pairs of different rows; ValueError for a set of fewer than 2 rows."""
    kernels = Kernels(KernelReference(b), [a])
    return kernels.distance(kernels.rows[0])


class KernelReference:
    """The features that others are compared with, and the mean kernel of two of them."""

    def __init__(self, features: Float[np.ndarray, "m d"]) -> None:
        if len(features) < 2:
            raise ValueError(f"a kernel distance needs at least 2 rows of reference, got {len(features)}")
        self.features = features
        self.mean = _mean_of_different(cubic_kernel(features, features), np.ones(len(features), np.int64))


class Kernels:
    """Kernels of every row of some sets with each other and with a reference, so that resampling computes none again.

    `rows` numbers the rows of each set, as a column: readings from which `distance` makes a score.
    """

    def __init__(self, reference: KernelReference, sets: Sequence[Float[np.ndarray, "_ d"]]) -> None:
        everything = np.concatenate(sets)
        ends = np.cumsum([0, *map(len, sets)]).tolist()
        self.rows = [np.arange(start, end, dtype=np.float64)[:, None] for start, end in pairwise(ends)]
        self._among = cubic_kernel(everything, everything)
        self._to_reference = cubic_kernel(everything, reference.features).mean(axis=1)
        self._of_reference = reference.mean

    def distance(self, rows: Float[np.ndarray, "n 1"]) -> float:
        """Of the rows with these numbers to the reference; a row drawn twice is never a pair with itself.

        Unless nothing else was drawn, as a resample of few rows may have it. ValueError for fewer than 2 rows.
        """
        if len(rows) < 2:
            raise ValueError(f"a kernel distance needs at least 2 rows, got {len(rows)}")
        unique, counts = np.unique(rows[:, 0].astype(np.int64), return_counts=True)
        within = _mean_of_different(self._among[np.ix_(unique, unique)], counts)
        across = float(counts @ self._to_reference[unique]) / int(counts.sum())
        return within + self._of_reference - 2 * across


def _mean_of_different(kernels: Float[np.ndarray, "n n"], counts: Int[np.ndarray, " n"]) -> float:
    """The mean kernel of two different rows, row i occurring `counts[i]` times; of a single row, with itself."""
    if len(counts) == 1:
        return float(kernels[0, 0])
    alike = float(counts**2 @ np.diagonal(kernels))
    return float(counts @ kernels @ counts - alike) / int(counts.sum() ** 2 - (counts**2).sum())
