"""Which images repeat which: exact by their pixels, near by perceptual hash; the best copy is kept.

Near repeats are looked for only inside a `group`. A style is never mixed with another one (the same drawing in two
styles is what a style is), and where people have named the concept, two names in one style are two pictures however
alike (clock faces). What is left for the hash is what nobody has labelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64, UInt64

from components.data.config import FilterLimits
from components.data.phash import near_pairs


@dataclass(frozen=True)
class Looks:
    """What near repeats are told by: the hash of the grey image, and its mean colour in levels."""

    hashes: UInt64[np.ndarray, " n"]
    mean_rgb: Float[np.ndarray, "n 3"]


def repeats_exactly(pixel_sha256: Sequence[str], quality: Float[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """For each image the index of the copy to keep, itself where it is kept: equal pixels, highest quality, first."""
    best: dict[str, int] = {}
    for row in np.argsort(-quality, kind="stable"):
        digest = str(pixel_sha256[int(row)])
        best.setdefault(digest, int(row))
    return np.array([best[digest] for digest in pixel_sha256], np.int64)


def repeats_nearly(
    looks: Looks, groups: Sequence[str], quality: Float[np.ndarray, " n"], limits: FilterLimits
) -> Int64[np.ndarray, " n"]:
    """For each image the index of the copy to keep, itself where it is kept.

    Images are taken from the highest quality down; one is dropped if a kept one of its group is near it. So no two kept
    ones of a group are near, and each dropped one is near the one it names: chains of small differences do not merge
    what is far apart.
    """
    keeper = np.arange(len(groups))
    rank = np.empty(len(groups), np.int64)
    rank[np.argsort(-quality, kind="stable")] = np.arange(len(groups))
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    for group in members.values():
        rows = np.array(group)
        pairs = _near_pairs(looks, rows, limits)
        better_first = np.where((rank[pairs[:, 0]] < rank[pairs[:, 1]])[:, None], pairs, pairs[:, ::-1])
        # In the order of the better one, each is settled (kept or dropped) before it can drop another.
        for better, worse in better_first[np.lexsort((rank[better_first[:, 1]], rank[better_first[:, 0]]))]:
            if keeper[better] == better and keeper[worse] == worse:
                keeper[worse] = better
    return keeper


def _near_pairs(looks: Looks, rows: Int64[np.ndarray, " g"], limits: FilterLimits) -> Int64[np.ndarray, "m 2"]:
    if len(rows) < 2:
        return np.empty((0, 2), np.int64)
    pairs = rows[near_pairs(looks.hashes[rows], limits.max_hamming_bits)]
    # The hash sees no colour: a blue and a green balloon have the same one.
    distance = np.linalg.norm(looks.mean_rgb[pairs[:, 0]] - looks.mean_rgb[pairs[:, 1]], axis=1)
    return pairs[distance <= limits.max_colour_distance]
