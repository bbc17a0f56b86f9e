"""Categories where nobody gave any: groups of images with like features, by k-means.

Source: Lloyd 1982, doi:10.1109/TIT.1982.1056489; Arthur and Vassilvitskii 2007, k-means++: the advantages of careful
seeding.
"""

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

MAX_FIT_ROWS = 50_000
_BLOCK_ROWS = 4096
_MAX_ROUNDS = 50


def unit_rows(features: Float[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
    """Rows of length 1, so that distance is angle; a row of zeros stays."""
    rows = features.astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))


def fit_clusters(
    rows: Float[np.ndarray, "n d"], num_clusters: int, rng: np.random.Generator
) -> Float32[np.ndarray, "k d"]:
    """Centres of at most `num_clusters` groups (fewer rows make fewer), of the most to the fewest members.

    Fitted to at most 50,000 rows drawn by `rng`, so that memory and time do not grow with the pool.
    """
    if num_clusters < 1:
        raise ValueError(f"num_clusters is {num_clusters}; allowed: 1 or more")
    if len(rows) > MAX_FIT_ROWS:
        rows = rows[np.sort(rng.choice(len(rows), MAX_FIT_ROWS, replace=False))]
    x = rows.astype(np.float32)
    centres = _seeds(x, num_clusters, rng)
    members = np.full(len(x), -1)
    for _ in range(_MAX_ROUNDS):
        nearest, distance = nearest_centres(x, centres)
        if (nearest == members).all():
            break
        members = nearest
        centres = _means(x, members, distance, len(centres))
    counts = np.bincount(members, minlength=len(centres))
    return centres[np.argsort(-counts, kind="stable")]


def nearest_centres(
    rows: Float[np.ndarray, "n d"], centres: Float32[np.ndarray, "k d"]
) -> tuple[Int64[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """The number of the nearest centre of each row, and the squared distance to it; in blocks of bounded memory."""
    nearest, distance = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.float32)
    half_squares = (centres**2).sum(axis=1) / 2
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS].astype(np.float32)
        likeness = block @ centres.T - half_squares
        best = likeness.argmax(axis=1)
        nearest[start : start + len(block)] = best
        squared = (block**2).sum(axis=1) - 2 * likeness[np.arange(len(block)), best]
        distance[start : start + len(block)] = np.maximum(squared, 0)
    return nearest, distance


def cluster_names(numbers: Int64[np.ndarray, " n"]) -> list[str]:
    """`cluster-000` and so on."""
    return [f"cluster-{number:03d}" for number in numbers]


def _seeds(x: Float32[np.ndarray, "n d"], num_clusters: int, rng: np.random.Generator) -> Float32[np.ndarray, "k d"]:
    """Rows drawn one by one, each in proportion to its squared distance from those before."""
    chosen = [int(rng.integers(len(x)))]
    distance: Float64[np.ndarray, " n"] = ((x - x[chosen[0]]) ** 2).sum(axis=1).astype(np.float64)
    while len(chosen) < num_clusters and distance.sum() > 0:
        chosen.append(int(rng.choice(len(x), p=distance / distance.sum())))
        distance = np.minimum(distance, ((x - x[chosen[-1]]) ** 2).sum(axis=1))
    return x[chosen].copy()


def _means(
    x: Float32[np.ndarray, "n d"], members: Int64[np.ndarray, " n"], distance: Float32[np.ndarray, " n"], k: int
) -> Float32[np.ndarray, "k d"]:
    """The mean of each group; a group that lost all members starts again at the row farthest from its own centre."""
    order = np.argsort(members, kind="stable")
    counts = np.bincount(members, minlength=k)
    there = np.flatnonzero(counts)
    starts = (np.cumsum(counts) - counts)[there]
    centres = np.zeros((k, x.shape[1]), np.float32)
    centres[there] = np.add.reduceat(x[order], starts, axis=0) / counts[there, None]
    empty = np.flatnonzero(counts == 0)
    centres[empty] = x[np.argsort(-distance, kind="stable")[: len(empty)]]
    return centres
