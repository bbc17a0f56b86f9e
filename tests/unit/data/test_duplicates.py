"""Perceptual hashes and duplicates: the hash's own formula, complete search, and planted copies found."""

import itertools

import numpy as np
import pytest
from PIL import Image

from components.data.config import Likeness
from components.data.duplicates import Looks, repeats_exactly, repeats_nearly
from components.data.phash import hamming, near_pairs, perceptual_hash


def drawing(seed: int) -> np.ndarray:
    """A smooth random picture of 32 pixels."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC))


def flipped(hashes: np.ndarray, num_bits: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    masks = [sum(1 << int(bit) for bit in rng.choice(64, num_bits, replace=False)) for _ in hashes]
    return hashes ^ np.array(masks, np.uint64)


def limits(bits: int = 4, colour: float = 1e9, aspect: float = 1.1) -> Likeness:
    return Likeness(bits, colour, aspect, None)


def test_hash_is_the_signs_of_low_cosine_sums() -> None:
    image = drawing(0)
    g = image @ np.array([0.299, 0.587, 0.114])
    x = np.arange(32)
    basis = np.cos(np.pi * np.outer(np.arange(8), 2 * x + 1) / 64)  # the DCT-II, up to a factor 2 a side
    low = (basis @ g @ basis.T).ravel()
    expected = int("".join("1" if value > np.median(low) else "0" for value in low), 2)
    assert int(perceptual_hash(image[None])[0]) == expected


def test_hash_survives_brightness_noise_and_reencoding_but_not_another_picture() -> None:
    images = np.stack([drawing(seed) for seed in range(40)])
    rng = np.random.default_rng(0)
    brighter = np.clip(images * 0.9 + 20, 0, 255).astype(np.uint8)
    noisy = np.clip(images + rng.normal(0, 3, images.shape), 0, 255).astype(np.uint8)
    hashes = perceptual_hash(images)
    assert np.median(hamming(hashes, perceptual_hash(brighter))) <= 2
    assert np.median(hamming(hashes, perceptual_hash(noisy))) <= 4
    others = hamming(hashes, np.roll(hashes, 1))
    assert abs(others.mean() - 32) < 4  # half the bits, as for independent ones


def test_distance_counts_bits() -> None:
    a, b = np.array([0, 5, 2**64 - 1], np.uint64), np.array([0, 6, 0], np.uint64)
    assert hamming(a, b).tolist() == [0, 2, 64]


@pytest.mark.parametrize("max_distance", [0, 1, 3, 8])
def test_bands_find_exactly_the_pairs_of_a_full_search(max_distance: int) -> None:
    rng = np.random.default_rng(2)
    seeds = rng.integers(0, 2**63, 30, dtype=np.uint64)
    hashes = np.concatenate([seeds, *(flipped(seeds, bits, bits) for bits in (0, 1, 3, 8, 9))])
    full = [
        (i, j)
        for i, j in itertools.combinations(range(len(hashes)), 2)
        if bin(int(hashes[i]) ^ int(hashes[j])).count("1") <= max_distance
    ]
    assert [tuple(pair) for pair in near_pairs(hashes, max_distance).tolist()] == full


def test_distance_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="max_distance is 64"):
        near_pairs(np.zeros(2, np.uint64), 64)


def test_of_equal_pixels_the_best_is_kept() -> None:
    keeper = repeats_exactly(["a", "b", "a", "a"], np.array([1.0, 0.0, 3.0, 3.0]))
    assert keeper.tolist() == [2, 1, 2, 2]


def test_planted_copies_are_found_and_only_they() -> None:
    rng = np.random.default_rng(5)
    originals = rng.integers(0, 2**63, 200, dtype=np.uint64)
    near, far = flipped(originals[:50], 4, 1), flipped(originals[50:100], 12, 2)
    hashes = np.concatenate([originals, near, far])
    looks = Looks(hashes, np.zeros((300, 3)), np.ones(300))
    keeper = repeats_nearly(looks, ["clip art"] * 300, -np.arange(300.0), limits(4))
    assert keeper[200:250].tolist() == list(range(50))
    assert (keeper[:200] == np.arange(200)).all()
    assert (keeper[250:] == np.arange(250, 300)).all()


def test_no_two_kept_are_near_and_each_dropped_is_near_its_keeper() -> None:
    rng = np.random.default_rng(6)
    hashes = flipped(np.repeat(rng.integers(0, 2**63, 8, dtype=np.uint64), 12), 3, 3)
    keeper = repeats_nearly(Looks(hashes, np.zeros((96, 3)), np.ones(96)), ["one"] * 96, rng.random(96), limits(5))
    kept = np.flatnonzero(keeper == np.arange(96))
    assert len(near_pairs(hashes[kept], 5)) == 0
    assert (hamming(hashes, hashes[keeper]) <= 5).all()
    assert 8 <= len(kept) < 96


def test_another_group_or_another_colour_is_not_a_copy() -> None:
    same = np.zeros(3, np.uint64)
    colours = np.array([[0.0, 0, 0], [0, 0, 0], [60, 0, 0]])
    keeper = repeats_nearly(Looks(same, colours, np.ones(3)), ["Noto", "blob", "Noto"], np.ones(3), limits(4, 10.0))
    assert keeper.tolist() == [0, 1, 2]


def test_another_aspect_is_not_a_copy() -> None:
    looks = Looks(np.zeros(3, np.uint64), np.zeros((3, 3)), np.array([1.0, 1.09, 0.5]))
    assert repeats_nearly(looks, ["one"] * 3, np.arange(3.0)[::-1], limits()).tolist() == [0, 0, 2]


def test_candidates_are_confirmed_once_and_only_they_are_asked_about() -> None:
    hashes = np.array([0, 1, 3, 2**40 - 1], np.uint64)
    asked = list[np.ndarray]()

    def confirm(pairs: np.ndarray) -> np.ndarray:
        asked.append(pairs)
        return pairs[:, 1] == 2

    looks = Looks(hashes, np.zeros((4, 3)), np.ones(4))
    keeper = repeats_nearly(looks, ["one"] * 4, np.array([3.0, 2, 1, 0]), limits(2), confirm)
    assert [pairs.tolist() for pairs in asked] == [[[0, 1], [0, 2], [1, 2]]]
    assert keeper.tolist() == [0, 1, 0, 3]
