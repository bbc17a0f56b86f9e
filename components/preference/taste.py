"""What an Aes model learns from: features of pictures, a score for each, who was better than whom, what is held out.

The network comes in as a function of pictures, so nothing here knows it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8

from components.data.config import DecodeLimits
from components.data.damage_ladder import TIERS, ladder
from components.data.decode import ImageRejectedError, decode_rgb
from components.data.errors import DataError
from components.data.quality_measures import grey
from components.data.records import unit_hash
from components.preference.aes_labels import Labelled, Labels, tier_score

Pictures = Sequence[UInt8[np.ndarray, "_ _ 3"]]
See = Callable[[Pictures], Float[np.ndarray, "n d"]]
Apart = Callable[[Sequence[bytes], Sequence[str]], None]
"""Refuses pictures (their bytes, and how each is called) that nothing may be trained on."""
MAX_SHOWN = 512
_AT_ONCE = 8
_PARTNERS = 8


@dataclass(frozen=True)
class Taste:
    """Rows of features with scores in [0, 100]; several rows are versions of one picture where `names` are equal.

    `rows` are comparisons of rows of one part (all held out, or none), `points` those of the first. `shown` are
    pictures held out, as they are, and `shown_rows` their rows.
    """

    features: Float[np.ndarray, "n d"]
    scores: Float[np.ndarray, " n"]
    names: list[str]
    categories: list[str]
    groups: list[str]
    is_heldout: Bool[np.ndarray, " n"]
    rows: Int64[np.ndarray, "m 2"]
    points: Float[np.ndarray, " m"]
    shown: Pictures
    shown_rows: Int64[np.ndarray, " s"]
    is_proxy: bool
    description: str

    def compared(self, heldout: bool) -> Bool[np.ndarray, " m"]:
        """Which of the comparisons are of the part held out, or of the other."""
        return self.is_heldout[self.rows[:, 0]] == heldout


def proxy_taste(
    real_u8: UInt8[np.ndarray, "n h w 3"],
    names: Sequence[str],
    categories: Sequence[str],
    is_heldout: Bool[np.ndarray, " n"],
    kinds: Sequence[str],
    strengths: Sequence[float],
    see: Callable[[Sequence[UInt8[np.ndarray, "n h w 3"]]], list[Float[np.ndarray, "n d"]]],
    seed: int,
) -> Taste:
    """A PROXY: each picture as it is has tier 10, more and more damaged 9 to 1; `see` is given all versions."""
    versions = ladder(real_u8, kinds, strengths, seed)
    features = np.stack(see(versions), axis=1).reshape(len(real_u8) * TIERS, -1)
    tiers = np.tile(np.array([tier_score(tier) for tier in range(TIERS, 0, -1)]), len(real_u8))
    pairs = np.array(list(combinations(range(TIERS), 2)), np.int64)
    rows = (TIERS * np.arange(len(real_u8))[:, None, None] + pairs).reshape(-1, 2)
    rows, points = _either_way(rows, tiers, seed)
    shown = np.flatnonzero(is_heldout)[:MAX_SHOWN]
    return Taste(
        features,
        tiers,
        np.repeat(names, TIERS).tolist(),
        np.repeat(categories, TIERS).tolist(),
        [""] * len(tiers),
        np.repeat(is_heldout, TIERS),
        rows,
        points,
        list(real_u8[shown]),
        TIERS * shown,
        True,
        f"a PROXY: no person judged anything; tiers 1 to 10 are real pictures with damage of known order "
        f"({', '.join(kinds)}), so it ranks freedom from such damage, not taste",
    )


def labelled_taste(
    labels: Labels, limits: DecodeLimits, heldout_frac: float, see: See, apart: Apart, seed: int
) -> Taste:
    """What people said, `heldout_frac` of the images held out by a hash of their names.

    Comparisons are those that people made, or where there were none each image with some others, by their scores.
    DataError in one line for an image that cannot be read, and for a part without two different scores.
    """
    images = labels.images
    is_heldout = np.array([unit_hash(one.name, "aes-heldout") < heldout_frac for one in images], bool)
    scores = np.array([one.score for one in images], np.float64)
    for part, name in ((scores[is_heldout], "held out"), (scores[~is_heldout], "to learn from")):
        if len(set(part.tolist())) < 2:
            raise DataError(f"{len(part)} labelled images {name}, not of two scores; bring more images")
    wanted = set(np.flatnonzero(is_heldout)[:MAX_SHOWN].tolist())
    features, shown = list[np.ndarray](), list[np.ndarray]()
    for start in range(0, len(images), _AT_ONCE):
        part = images[start : start + _AT_ONCE]
        pictures = _pictures(part, limits, apart)
        features.append(see(pictures))
        shown += [picture for place, picture in enumerate(pictures, start) if place in wanted]
    rows, points = _compared(labels, scores, is_heldout, seed)
    return Taste(
        np.concatenate(features),
        scores,
        [one.name for one in images],
        [one.category for one in images],
        [one.group for one in images],
        is_heldout,
        rows,
        points,
        shown,
        np.array(sorted(wanted), np.int64),
        False,
        labels.description,
    )


def without_colour(image_u8: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture in black and white."""
    return np.repeat(np.rint(grey(image_u8[None])[0])[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)


def _pictures(images: Sequence[Labelled], limits: DecodeLimits, apart: Apart) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    data = [one.file.read_bytes() for one in images]
    apart(data, [f"{one.place}: image {one.file.name}" for one in images])
    return [_decoded(content, one, limits) for content, one in zip(data, images, strict=True)]


def _decoded(data: bytes, image: Labelled, limits: DecodeLimits) -> UInt8[np.ndarray, "h w 3"]:
    try:
        return decode_rgb(data, limits)
    except ImageRejectedError as error:
        raise DataError(f"{image.place}: image {image.file.name} cannot be read ({error}); remove the row") from error


def _compared(
    labels: Labels, scores: Float[np.ndarray, " n"], is_heldout: Bool[np.ndarray, " n"], seed: int
) -> tuple[Int64[np.ndarray, "m 2"], Float[np.ndarray, " m"]]:
    if not labels.won:
        return _either_way(_partners(is_heldout, seed), scores, seed)
    row_of = {one.name: row for row, one in enumerate(labels.images)}
    rows = np.array([(row_of[won.first], row_of[won.second]) for won in labels.won], np.int64)
    points = np.array([won.points for won in labels.won], np.float64)
    is_within = is_heldout[rows[:, 0]] == is_heldout[rows[:, 1]]
    return rows[is_within], points[is_within]


def _partners(is_heldout: Bool[np.ndarray, " n"], seed: int) -> Int64[np.ndarray, "m 2"]:
    """Each row with some others of its part."""
    drawn = np.random.default_rng((seed, 1))
    found = list[np.ndarray]()
    for part in (np.flatnonzero(~is_heldout), np.flatnonzero(is_heldout)):
        for _ in range(_PARTNERS):
            mixed = drawn.permutation(part)
            found.append(np.stack([mixed, np.roll(mixed, 1)], axis=1))
    return np.concatenate(found).astype(np.int64)


def _either_way(
    rows: Int64[np.ndarray, "m 2"], scores: Float[np.ndarray, " n"], seed: int
) -> tuple[Int64[np.ndarray, "m 2"], Float[np.ndarray, " m"]]:
    """The comparisons with half of them turned round, and the first one's points by the scores."""
    is_turned = np.random.default_rng((seed, 0)).random(len(rows)) < 0.5
    rows = np.where(is_turned[:, None], rows[:, ::-1], rows)
    return rows, (0.5 + 0.5 * np.sign(scores[rows[:, 0]] - scores[rows[:, 1]])).astype(np.float64)
