"""The search for near hashes: every pair of a full comparison and no other, whatever the hashes look like."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data import phash
from components.data.phash import near_pairs


def random_hashes(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def flipped(hashes: np.ndarray, num_bits: int, seed: int) -> np.ndarray:
    """Each hash with `num_bits` different bits turned over."""
    places = np.argsort(np.random.default_rng(seed).random((len(hashes), 64)), axis=1)[:, :num_bits]
    masks = (np.uint64(1) << places.astype(np.uint64)).sum(axis=1, dtype=np.uint64)
    return hashes ^ masks


def full_search(hashes: np.ndarray, max_distance: int) -> np.ndarray:
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    return np.argwhere(np.triu(distance <= max_distance, 1))


def crowd(count: int, seed: int) -> np.ndarray:
    """Hashes of a pool that is not random: originals, copies at every distance, equal ones, and a few constant bits."""
    originals = random_hashes(count // 8, seed)
    copies = [flipped(originals, bits, seed + bits) for bits in (0, 0, 1, 3, 6, 7, 12)]
    hashes = np.concatenate([originals, *copies])
    hashes[::3] &= np.uint64(0x00000FFFFF000000)
    return np.random.default_rng(seed).permutation(hashes)


@pytest.mark.parametrize("max_distance", [0, 1, 2, 4, 6, 31, 63])
def test_the_search_is_a_full_comparison(max_distance: int) -> None:
    hashes = crowd(2000 if max_distance == 6 else 400, max_distance)
    np.testing.assert_array_equal(near_pairs(hashes, max_distance), full_search(hashes, max_distance))


@pytest.mark.parametrize("num_blocks", [7, 9])
@pytest.mark.parametrize("long_run", [4, 4096])
def test_any_number_of_blocks_finds_the_same(monkeypatch: pytest.MonkeyPatch, num_blocks: int, long_run: int) -> None:
    hashes = crowd(160, 3)
    monkeypatch.setattr(phash, "_num_blocks", lambda _, width, distance: num_blocks if width == 64 else distance)
    monkeypatch.setattr(phash, "_LONG_RUN", long_run)
    np.testing.assert_array_equal(near_pairs(hashes, 6), full_search(hashes, 6))


@settings(max_examples=40, deadline=None)
@given(hashes=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 63), max_size=40), max_distance=st.integers(0, 63))
def test_any_hashes_and_any_distance(hashes: list[int], max_distance: int) -> None:
    values = np.array(hashes, np.uint64)
    np.testing.assert_array_equal(near_pairs(values, max_distance), full_search(values, max_distance).reshape(-1, 2))


@pytest.mark.parametrize("num_bits", range(9))
def test_planted_copies_are_found_up_to_the_distance_and_never_above(num_bits: int) -> None:
    originals = random_hashes(5_000, 1)
    pairs = near_pairs(np.concatenate([originals, flipped(originals[:500], num_bits, 2)]), 6)
    planted = np.stack([np.arange(500), np.arange(5_000, 5_500)], axis=1)
    np.testing.assert_array_equal(pairs, planted if num_bits <= 6 else np.empty((0, 2)))


def test_a_million_hashes_are_cut_into_enough_blocks() -> None:
    """The estimate picks few chance agreements over few sorts once the pool is large."""
    assert [phash._num_blocks(n, 64, 6) for n in (100, 100_000, 1_000_000)] == [6, 8, 9]
    assert phash._num_blocks(1_000_000, 64, 2) == 3


def test_too_many_pairs_are_told_before_they_fill_the_memory() -> None:
    with pytest.raises(ValueError, match="199990000 pairs of 20000 hashes lie within 2 bits; allowed: 1000000"):
        near_pairs(np.zeros(20_000, np.uint64), 2, max_pairs=1_000_000)
