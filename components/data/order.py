"""The order of training as a pure function of (manifest hash, seed, images seen).

Position i of a run is decided by random numbers that are themselves a function of (key, stream, i): Philox counts
instead of stepping, so nothing has to be remembered to continue, and ranks that take slices of one global range
see what a single rank would have seen.
Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox); Black & Rogaway 2002, "Ciphers with
arbitrary finite domains" (a permutation as a function of position); Madow 1949, doi:10.1214/aoms/1177729988 (systematic
sampling: counts next to their expectations).
"""

import hashlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Stream = Literal["sample", "caption", "dropout", "epoch"]
_STREAMS: dict[Stream, int] = {"sample": 0, "caption": 1, "dropout": 2, "epoch": 3}
_FEISTEL_ROUNDS = 6
_SEEDS = 1 << 32
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
    cumulative = _cumulative(probabilities)
    points = uniforms(key, stream, start, count) * cumulative[-1]
    return np.searchsorted(cumulative, points, side="right").astype(np.int64)


def draw_epochs(
    probabilities: NDArray[np.float64], key: int, start: int, count: int, epoch_images: int
) -> NDArray[np.int64]:
    """As `draw`, without replacement within an epoch of `epoch_images` positions.

    In every epoch an index comes as often as expected, probability times `epoch_images`, rounded down or up; the order
    within an epoch is a permutation of its own. ValueError as `draw`, or for an epoch without images.
    """
    if epoch_images < 1 or start < 0 or count < 0:
        raise ValueError(f"start, count, epoch_images are {start}, {count}, {epoch_images}; allowed: 0, 0, 1 or more")
    cumulative = _cumulative(probabilities)
    epochs, places = np.divmod(np.arange(start, start + count), epoch_images)
    drawn = np.empty(count, np.int64)
    for epoch in np.unique(epochs).tolist():
        mine = epochs == epoch
        shift = uniforms(key, "epoch", epoch * _LANES, 1)
        points = (_permuted(places[mine], epoch_images, order_key(str(key), epoch)) + shift) / epoch_images
        drawn[mine] = np.searchsorted(cumulative, points * cumulative[-1], side="right")
    return drawn


def seeds(key: int, start: int, count: int) -> NDArray[np.int64]:
    """Seeds of 32 bits for the positions start, ..., start + count - 1: no two of 2**32 in a row are equal."""
    if start < 0 or count < 0:
        raise ValueError(f"start and count must not be negative, got {start} and {count}")
    rounds, places = np.divmod(np.arange(start, start + count), _SEEDS)
    made = np.empty(count, np.int64)
    for turn in np.unique(rounds).tolist():
        mine = rounds == turn
        made[mine] = _permuted(places[mine], _SEEDS, order_key(f"{key} seeds", turn))
    return made


def _cumulative(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    total = float(probabilities.sum()) if probabilities.size else 0.0
    if not total > 0 or not np.isfinite(total) or bool((probabilities < 0).any()):
        raise ValueError(
            f"probabilities must be non-negative with a positive sum, got {probabilities.size} of sum {total}"
        )
    return np.cumsum(probabilities)


def _permuted(places: NDArray[np.int64], size: int, key: int) -> NDArray[np.int64]:
    """Where a permutation of 0, ..., size - 1 that `key` names takes `places`; nothing but the places is computed.

    A Feistel network permutes the next power of four; what it takes out of the range goes round again.
    """
    half = np.uint64(max((size - 1).bit_length() + 1, 2) // 2)
    mask = (np.uint64(1) << half) - np.uint64(1)
    round_keys = np.random.Philox(key=[key, 0]).random_raw(_FEISTEL_ROUNDS)
    value = places.astype(np.uint64)
    outside = np.ones(len(value), bool)
    while outside.any():
        left, right = value[outside] >> half, value[outside] & mask
        for round_key in round_keys:
            left, right = right, left ^ (_mixed(right ^ round_key) & mask)
        value[outside] = (left << half) | right
        outside = value >= np.uint64(size)
    return value.astype(np.int64)


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64: every bit depends on every bit.

    Source: Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195.
    """
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
