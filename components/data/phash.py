"""Perceptual hashes of 64 bits, and all pairs of them within a Hamming distance.

A hash keeps the signs of the lowest frequencies of a small grey copy, so re-encoding, resizing and slight retouching
leave it nearly unchanged. Pairs are found by bands: two hashes that differ in at most d bits agree entirely in one of
d + 1 disjoint bands, so looking only where a band agrees misses nothing.

Source: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions", section 3.2 (DCT hash);
Manku et al. 2007, doi:10.1145/1242572.1242592 (search by agreeing blocks).
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Int64, UInt8, UInt64
from scipy.fft import dctn

from components.data.quality_measures import grey

HASH_BITS = 64
HASH_PX = 32


def perceptual_hash(images_u8: UInt8[np.ndarray, "n 32 32 3"]) -> UInt64[np.ndarray, " n"]:
    """Signs of the 8 x 8 lowest DCT coefficients against their median, as one number per image."""
    if images_u8.shape[1:] != (HASH_PX, HASH_PX, 3):
        raise ValueError(f"images are {images_u8.shape[1:]}; allowed: {(HASH_PX, HASH_PX, 3)}")
    spectrum = np.asarray(dctn(grey(images_u8), axes=(1, 2)))
    low = spectrum[:, :8, :8].reshape(-1, HASH_BITS)
    # Rounded: mirror-symmetric images have coefficients that are zero up to rounding, whose signs are noise.
    low = np.round(low, 6)
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64).reshape(-1)


def hamming(first: UInt64[np.ndarray, " n"], second: UInt64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Number of bits in which the hashes differ."""
    differing = np.ascontiguousarray(first ^ second).view(np.uint8).reshape(-1, 8)
    return np.unpackbits(differing, axis=1).sum(axis=1, dtype=np.int64)


def near_pairs(hashes: UInt64[np.ndarray, " n"], max_distance: int) -> Int64[np.ndarray, "m 2"]:
    """Every pair (i, j), i < j, of hashes at most `max_distance` bits apart, sorted.

    Time grows with the number of pairs that agree in a band: n^2 / 2^(64 / (max_distance + 1)) for random hashes.
    """
    if not 0 <= max_distance < HASH_BITS:
        raise ValueError(f"max_distance is {max_distance}; allowed: 0 to {HASH_BITS - 1}")
    edges = np.linspace(0, HASH_BITS, max_distance + 2).astype(int)
    found = [_agreeing_pairs(_band(hashes, low, high)) for low, high in pairwise(edges.tolist())]
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs[hamming(hashes[pairs[:, 0]], hashes[pairs[:, 1]]) <= max_distance]


def _band(hashes: UInt64[np.ndarray, " n"], low: int, high: int) -> UInt64[np.ndarray, " n"]:
    mask = np.uint64((1 << (high - low)) - 1)
    return (hashes >> np.uint64(low)) & mask


def _agreeing_pairs(keys: UInt64[np.ndarray, " n"]) -> Int64[np.ndarray, "m 2"]:
    """All pairs (i, j), i < j, with equal keys."""
    order = np.argsort(keys, kind="stable")
    breaks = np.flatnonzero(np.diff(keys[order])) + 1
    runs = [run for run in np.split(order, breaks) if len(run) > 1]
    pairs = [np.stack([run[rows] for rows in np.triu_indices(len(run), 1)], axis=1) for run in runs]
    return np.concatenate(pairs).astype(np.int64) if pairs else np.empty((0, 2), np.int64)
