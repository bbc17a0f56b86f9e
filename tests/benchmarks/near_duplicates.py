"""All near pairs of a million perceptual hashes: time, memory, recall on planted copies, false pairs."""

from pathlib import Path

import numpy as np
from harness import Figure, at_least, at_most, in_child

NUM_HASHES = 1_000_000
PLANTED_PER_DISTANCE = 10_000
MAX_DISTANCE = 6


def measure(folder: Path) -> list[Figure]:
    hashes, planted = pool()
    np.save(folder / "hashes.npy", hashes)
    search = in_child(find, folder / "hashes.npy", folder / "pairs.npy")
    pairs = np.load(folder / "pairs.npy")
    found = np.isin(planted @ [NUM_HASHES, 1], pairs @ [NUM_HASHES, 1])
    distance = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]])
    return [
        at_most("a million hashes within 6 bits: time", search.seconds, "s", 60),
        Figure("a million hashes within 6 bits: processor time", search.cpu_seconds, "s"),
        at_most("a million hashes within 6 bits: peak memory", search.peak_mb, "MB", 2000),
        at_least("planted pairs found, 0 to 6 bits apart", float(found.mean()), "of 1", 0.98),
        at_most("pairs found that are further apart", float((distance > MAX_DISTANCE).sum()), "pairs", 0),
    ]


def pool(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random hashes, some of them copies 0 to 8 bits from another; the pairs (original, copy) up to 6 bits."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, NUM_HASHES, dtype=np.uint64)
    planted: list[np.ndarray] = []
    for bits in range(MAX_DISTANCE + 3):
        originals = np.arange(PLANTED_PER_DISTANCE) + bits * PLANTED_PER_DISTANCE
        copies = originals + NUM_HASHES // 2
        places = np.argsort(rng.random((len(originals), 64)), axis=1)[:, :bits].astype(np.uint64)
        hashes[copies] = hashes[originals] ^ (np.uint64(1) << places).sum(axis=1, dtype=np.uint64)
        if bits <= MAX_DISTANCE:
            planted.append(np.stack([originals, copies], axis=1))
    return hashes, np.concatenate(planted)


def find(hashes: Path, pairs: Path) -> None:
    from components.data.phash import near_pairs

    np.save(pairs, near_pairs(np.load(hashes), MAX_DISTANCE))
