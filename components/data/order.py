"""The order of training as a pure function of (manifest hash, seed, images seen).

Position i of a run is decided by random numbers that are themselves a function of (key, stream, i): Philox counts
instead of stepping, so nothing has to be remembered to continue, and ranks that take slices of one global range
see what a single rank would have seen.
Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox).
"""

import hashlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Stream = Literal["sample", "caption", "dropout"]
_STREAMS: dict[Stream, int] = {"sample": 0, "caption": 1, "dropout": 2}
_LANES = 4  # numbers that Philox makes per count


def order_key(manifest_hash: str, seed: int) -> int:
    """A 64-bit key from what is ordered and the seed; changes with either."""
    return int.from_bytes(hashlib.sha256(f"{manifest_hash}:{seed}".encode()).digest()[:8], "big")


def uniforms(key: int, stream: Stream, start: int, count: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) for the positions start, ..., start + count - 1 of a stream; streams are independent."""
    if start < 0 or count < 0:
        raise ValueError(f"start and count must not be negative, got {start} and {count}")
    first, skipped = divmod(start, _LANES)
    generator = np.random.Philox(key=[key, _STREAMS[stream]], counter=[first, 0, 0, 0])
    raw = generator.random_raw(skipped + count)[skipped:]
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def draw(
    probabilities: NDArray[np.float64], key: int, start: int, count: int, stream: Stream = "sample"
) -> NDArray[np.int64]:
    """Indices drawn with `probabilities` (any positive sum) at positions start, ..., start + count - 1.

    By inverting the cumulative distribution: an index of probability 0 is never drawn.
    """
    total = float(probabilities.sum()) if probabilities.size else 0.0
    if not total > 0 or not np.isfinite(total) or bool((probabilities < 0).any()):
        raise ValueError(
            f"probabilities must be non-negative with a positive sum, got {probabilities.size} of sum {total}"
        )
    cumulative = np.cumsum(probabilities)
    points = uniforms(key, stream, start, count) * cumulative[-1]
    return np.searchsorted(cumulative, points, side="right").astype(np.int64)
