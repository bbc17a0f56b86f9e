"""The Fréchet distance between two sets of features, each taken as a Gaussian.

Called "Lite0 Fréchet distance" when the features are EfficientNet-Lite0's. It is never called FID: that name belongs
to one Inception network and one preprocessing, and the numbers are not comparable.
Source: Fréchet 1957; Dowson and Landau 1982; as a score of images Heusel et al. 2017, arXiv:1706.08500, eq. 6.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance, float64."""

    mean: Float[np.ndarray, " d"]
    covariance: Float[np.ndarray, "d d"]


@dataclass(frozen=True)
class Projection:
    """Principal axes of reference features: features are centred, then projected, all in float64."""

    mean: Float[np.ndarray, " d"]
    axes: Float[np.ndarray, "d k"]

    def __call__(self, features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Coordinates along the axes."""
        return (features.astype(np.float64) - self.mean) @ self.axes


def fit_gaussian(features: Float[np.ndarray, "n d"]) -> Gaussian:
    """Mean and unbiased covariance of at least two rows."""
    if len(features) < 2:
        raise ValueError(f"a covariance needs at least 2 rows, got {len(features)}")
    rows = features.astype(np.float64)
    return Gaussian(rows.mean(axis=0), np.atleast_2d(np.cov(rows, rowvar=False)))


def fit_projection(features: Float[np.ndarray, "n d"], num_axes: int) -> Projection:
    """The `num_axes` directions in which `features` vary most.

    With fewer images than feature channels the covariance is singular and the distance mostly bias; in a few dozen
    principal directions a few hundred images are enough.
    """
    if not 1 <= num_axes <= min(features.shape):
        raise ValueError(f"num_axes must be between 1 and {min(features.shape)}, got {num_axes}")
    reference = fit_gaussian(features)
    _, vectors = np.linalg.eigh(reference.covariance)  # eigenvalues ascend
    return Projection(reference.mean, vectors[:, ::-1][:, :num_axes])


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A^(1/2) B A^(1/2))^(1/2)); 0 for equal Gaussians, never negative."""
    root = _square_root(a.covariance)
    # Symmetric, unlike A B, so its eigenvalues are real and no complex square root is needed.
    overlap = np.linalg.eigvalsh(root @ b.covariance @ root)
    shift = float(np.sum((a.mean - b.mean) ** 2))
    spread = float(np.trace(a.covariance) + np.trace(b.covariance) - 2 * np.sqrt(np.clip(overlap, 0, None)).sum())
    return max(0.0, shift + spread)


def _square_root(matrix: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
