"""Perceptual hashes of 64 bits, and all pairs of them within a Hamming distance.

A hash keeps the signs of the lowest frequencies of a small grey copy, so re-encoding, resizing and slight retouching
leave it nearly unchanged. Pairs are found by blocks of bits: of b blocks, two hashes that differ in at most d bits are
equal in b - d, so looking only where that many agree misses nothing. More blocks mean more sorts and fewer chance
agreements; the number with the least estimated work is taken.

Source: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions", section 3.2 (DCT hash);
Manku et al. 2007, doi:10.1145/1242572.1242592, section 3 (search by agreeing blocks, several tables).
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from math import comb

import numpy as np
from jaxtyping import Bool, Int64, UInt8, UInt64
from scipy.fft import dctn

from components.data.quality_measures import grey

HASH_BITS = 64
HASH_PX = 32

# Estimated nanoseconds, which only choose the number of blocks: a table, a row of it sorted, a pair compared.
_TABLE_NS, _ROW_NS, _PAIR_NS = 3e5, 120.0, 60.0
_MAX_EXTRA_BLOCKS = 8
_LONG_RUN = 4096
_DONE = np.uint64(1 << 63)


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
    return np.bitwise_count(first ^ second).astype(np.int64)


def near_pairs(
    hashes: UInt64[np.ndarray, " n"], max_distance: int, max_pairs: int = 20_000_000
) -> Int64[np.ndarray, "m 2"]:
    """Every pair (i, j), i < j, of hashes at most `max_distance` bits apart, sorted.

    Exact: no pair is missed or added. A million random hashes take about ten seconds at 6 bits and ten times that at 8.
    ValueError for a distance out of range, or if there are more than `max_pairs`.
    """
    if not 0 <= max_distance < HASH_BITS:
        raise ValueError(f"max_distance is {max_distance}; allowed: 0 to {HASH_BITS - 1}")
    values, group, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    own = np.flatnonzero(sizes > 1)
    pairs = np.concatenate([np.stack([own, own], axis=1), _pairs_of_distinct(values, HASH_BITS, max_distance)])
    num_pairs = int((sizes[pairs[:, 0]] * sizes[pairs[:, 1]]).sum() - (sizes[own] * (sizes[own] + 1) // 2).sum())
    if num_pairs > max_pairs:
        raise ValueError(
            f"{num_pairs} pairs of {len(hashes)} hashes lie within {max_distance} bits; allowed: {max_pairs}; "
            "search the distinct hashes only, or within fewer bits"
        )
    return _members(pairs, group, sizes)


def _members(
    pairs: Int64[np.ndarray, "m 2"], group: Int64[np.ndarray, " n"], sizes: Int64[np.ndarray, " g"]
) -> Int64[np.ndarray, "p 2"]:
    """The pairs (i, j), i < j, of the members of paired groups, sorted; (g, g) pairs a group's members."""
    by_group = np.argsort(group, kind="stable")
    starts = np.cumsum(sizes) - sizes
    first, second = pairs[:, 0], pairs[:, 1]
    products = sizes[first] * sizes[second]
    source = np.repeat(np.arange(len(pairs)), products)
    place = np.arange(len(source)) - np.repeat(np.cumsum(products) - products, products)
    width = sizes[second][source]
    i = by_group[starts[first][source] + place // width]
    j = by_group[starts[second][source] + place % width]
    rows = np.stack([np.minimum(i, j), np.maximum(i, j)], axis=1)[(i < j) | (first != second)[source]]
    return rows[np.lexsort((rows[:, 1], rows[:, 0]))]


def _pairs_of_distinct(values: UInt64[np.ndarray, " n"], width: int, max_distance: int) -> Int64[np.ndarray, "m 2"]:
    """All pairs of distinct `values`, of which the lowest `width` bits count, at most `max_distance` bits apart.

    With the bits cut into b blocks, a pair agrees in b - d of them: for each choice of b - d blocks the values are
    sorted by those, and runs of equal keys compared. A pair is taken only where its first agreeing blocks are chosen.
    """
    if max_distance == 0 or len(values) < 2:
        return np.empty((0, 2), np.int64)
    num_blocks = _num_blocks(len(values), width, max_distance)
    edges = np.linspace(0, width, num_blocks + 1).astype(int).tolist()
    blocks = [(low, high - low) for low, high in pairwise(edges)]
    found: list[Int64[np.ndarray, "m 2"]] = []
    for chosen in combinations(range(num_blocks), num_blocks - max_distance):
        keys = _joined(values, [blocks[b] for b in chosen])
        rest = [blocks[b] for b in range(num_blocks) if b not in chosen]
        for pairs in _pairs_of_equal_keys(values, keys, rest, max_distance):
            found.append(pairs[_is_first_choice(values, pairs, blocks, chosen)])
    return np.concatenate(found)


def _num_blocks(num_values: int, width: int, max_distance: int) -> int:
    """Into how many blocks to cut: `max_distance` (no key at all: every pair is compared) or more."""

    def cost(num_blocks: int) -> float:
        key_bits = width * (num_blocks - max_distance) // num_blocks
        chance_pairs = num_values**2 / 2.0 ** (key_bits + 1)
        tables = comb(num_blocks, max_distance)
        return tables * (_TABLE_NS + _ROW_NS * num_values + _PAIR_NS * chance_pairs)

    free_bits = 64 - num_values.bit_length()  # keys are sorted with the row number below them
    most = min(width, max_distance + _MAX_EXTRA_BLOCKS)
    allowed = [b for b in range(max_distance + 1, most + 1) if width * (b - max_distance) / b + b <= free_bits]
    return min([max_distance, *allowed], key=cost)


def _joined(values: UInt64[np.ndarray, " n"], blocks: Sequence[tuple[int, int]]) -> UInt64[np.ndarray, " n"]:
    """The bits of `blocks` (lowest bit, number of bits) beside each other."""
    joined = np.zeros_like(values)
    for low, num_bits in blocks:
        mask = np.uint64((1 << num_bits) - 1)
        joined = (joined << np.uint64(num_bits)) | ((values >> np.uint64(low)) & mask)
    return joined


def _pairs_of_equal_keys(
    values: UInt64[np.ndarray, " n"],
    keys: UInt64[np.ndarray, " n"],
    rest: Sequence[tuple[int, int]],
    max_distance: int,
) -> Iterator[Int64[np.ndarray, "m 2"]]:
    """Pairs of equal keys at most `max_distance` apart; long runs are searched by `rest`, the blocks not in the key."""
    row_bits = np.uint64(len(values).bit_length())
    packed = np.sort((keys << row_bits) | np.arange(len(values), dtype=np.uint64))
    rows = (packed & np.uint64((1 << int(row_bits)) - 1)).astype(np.int64)
    keys, values = packed >> row_bits, values[rows]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    lengths = np.diff(starts, append=len(keys))
    is_long = (lengths > _LONG_RUN) & (len(starts) > 1)  # a single run is what a search by no key asks for
    for start, length in zip(starts[is_long], lengths[is_long], strict=True):
        run = slice(start, start + length)
        inner = _pairs_of_distinct(_joined(values[run], rest), sum(bits for _, bits in rest), max_distance)
        yield rows[run][inner]
        keys[run] = np.arange(start, start + length, dtype=np.uint64) | _DONE  # no key of another row any more
    first, step = np.arange(len(keys)), 1
    while len(first := first[first + step < len(keys)]):
        first = first[keys[first] == keys[first + step]]
        near = first[np.bitwise_count(values[first] ^ values[first + step]) <= max_distance]
        yield np.stack([rows[near], rows[near + step]], axis=1)
        step += 1


def _is_first_choice(
    values: UInt64[np.ndarray, " n"],
    pairs: Int64[np.ndarray, "m 2"],
    blocks: Sequence[tuple[int, int]],
    chosen: Sequence[int],
) -> Bool[np.ndarray, " m"]:
    """Whether `chosen` are the first blocks in which the pair agrees, so that of all choices one takes it."""
    differing = values[pairs[:, 0]] ^ values[pairs[:, 1]]
    agrees = np.stack([_joined(differing, [block]) == 0 for block in blocks], axis=1)
    is_first = agrees & (np.cumsum(agrees, axis=1) <= len(chosen))
    return (is_first == np.isin(np.arange(len(blocks)), chosen)).all(axis=1)
