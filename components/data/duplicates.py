"""Which images repeat which: exact by their pixels, near by perceptual hash; the best copy is kept.

Near repeats are looked for only inside a `group`. A style is never mixed with another one (the same drawing in two
styles is what a style is), and where people have named the concept, two names in one style are two pictures however
alike (clock faces). What is left for the hash is what nobody has labelled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int64, UInt64

from components.data.config import Likeness
from components.data.measures import MEAN_RGB
from components.data.phash import near_pairs

Confirm = Callable[[Int64[np.ndarray, "m 2"]], Bool[np.ndarray, " m"]]


@dataclass(frozen=True)
class Looks:
    """What near repeats are told by: the hash of the grey image, its mean colour in levels, width over height."""

    hashes: UInt64[np.ndarray, " n"]
    mean_rgb: Float[np.ndarray, "n 3"]
    aspect: Float[np.ndarray, " n"]


def looks_of(samples: pa.Table) -> Looks:
    """The looks of catalogue rows."""
    return Looks(
        hashes=samples.column("phash").to_numpy(),
        mean_rgb=np.stack([samples.column(name).to_numpy() for name in MEAN_RGB], axis=1),
        aspect=samples.column("width").to_numpy() / samples.column("height").to_numpy(),
    )


def repeats_exactly(pixel_sha256: Sequence[str], quality: Float[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """For each image the index of the copy to keep, itself where it is kept: equal pixels, highest quality, first."""
    best: dict[str, int] = {}
    for row in np.argsort(-quality, kind="stable"):
        digest = str(pixel_sha256[int(row)])
        best.setdefault(digest, int(row))
    return np.array([best[digest] for digest in pixel_sha256], np.int64)


def repeats_nearly(
    looks: Looks,
    groups: Sequence[str],
    quality: Float[np.ndarray, " n"],
    near: Likeness,
    confirm: Confirm | None = None,
) -> Int64[np.ndarray, " n"]:
    """For each image the index of the copy to keep, itself where it is kept.

    Images are taken from the highest quality down; one is dropped if a kept one of its group is near it. So no two kept
    ones of a group are near, and each dropped one is near the one it names: chains of small differences do not merge
    what is far apart. `confirm` is asked once, of all candidate pairs, which of them it takes for one picture.
    """
    keeper = np.arange(len(groups))
    rank = np.empty(len(groups), np.int64)
    rank[np.argsort(-quality, kind="stable")] = np.arange(len(groups))
    pairs = candidate_pairs(looks, groups, near)
    if confirm is not None and len(pairs):
        pairs = pairs[confirm(pairs)]
    better_first = np.where((rank[pairs[:, 0]] < rank[pairs[:, 1]])[:, None], pairs, pairs[:, ::-1])
    # In the order of the better one, each is settled (kept or dropped) before it can drop another.
    for better, worse in better_first[np.lexsort((rank[better_first[:, 1]], rank[better_first[:, 0]]))]:
        if keeper[better] == better and keeper[worse] == worse:
            keeper[worse] = better
    return keeper


def candidate_pairs(looks: Looks, groups: Sequence[str], near: Likeness) -> Int64[np.ndarray, "m 2"]:
    """Pairs of one group that look alike: near hashes, colours and aspects."""
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    found = [np.empty((0, 2), np.int64)]
    for rows in (np.array(group) for group in members.values() if len(group) > 1):
        found.append(rows[near_pairs(looks.hashes[rows], near.max_hamming_bits)])
    pairs = np.concatenate(found)
    return pairs[alike(looks, pairs, near)]


def alike(looks: Looks, pairs: Int64[np.ndarray, "m 2"], near: Likeness) -> Bool[np.ndarray, " m"]:
    """Which pairs agree in what the hash does not see: colour (a blue and a green balloon) and aspect."""
    first, second = pairs[:, 0], pairs[:, 1]
    distance = np.linalg.norm(looks.mean_rgb[first] - looks.mean_rgb[second], axis=1)
    change = np.abs(np.log(looks.aspect[first]) - np.log(looks.aspect[second]))
    return (distance <= near.max_colour_distance) & (change <= np.log(near.max_aspect_change) + 1e-9)
