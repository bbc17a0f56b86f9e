"""ERIA-1K: a thousand images with tiers from 1 to 10, a benchmark of models of taste; nothing is drawn.

It comes as `test/test.json`, a list of images and tiers. Its card shows the images beside the list, speaks of a folder
`images`, and shows no row: images are looked for in both places, names and tiers under the names that such lists use.
Never train on these images.
Source: arXiv:2605.25347, section 3.2; Hub data set baidu/ERIA-1K-Benchmark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from components.data.config import DecodeLimits
from components.data.decode import ImageRejectedError, at_most, decode_image
from components.data.errors import DataError
from components.data.quality_measures import colourfulness
from components.evaluation.benchmarks.rows import Row, check_different, file_in, read_rows
from components.evaluation.benchmarks.scores import Score
from components.evaluation.correlations import correlations

NUM_IMAGES = 1000
IMAGE_NAMES = ("image", "image_path", "img_path", "file_name", "filename", "name")
TIER_NAMES = ("tier", "score", "gt_score", "label", "mos")
MAX_GREY_COLOURFULNESS = 2.0
"""Above it a picture is not black and white; a JPEG's rounding gives grey ones less."""
LIMITS = DecodeLimits(max_pixels=100_000_000, max_bytes=50_000_000, max_ratio=1000.0)


@dataclass(frozen=True)
class Rated:
    """An image's file, the tier that people gave it, and its category ("" where none is told)."""

    file: Path
    tier: float
    category: str
    place: str


def find(path: Path) -> Path:
    """ERIA-1K's test.json: `path` itself, or in that folder, or in its folder `test`; DataError if it is in none."""
    file = next((one for one in (path, path / "test.json", path / "test" / "test.json") if one.is_file()), None)
    if file is None:
        raise DataError(f"{path}: no test.json in it; name ERIA-1K's folder or its test/test.json")
    return file


def read(file: Path) -> list[Rated]:
    """The rated images of a `test.json`.

    Raises:
        DataError: in one line with file and row: fields missing, an image twice, or not there.
    """
    rows = read_rows(file)
    check_different(rows, lambda row: row.text(*IMAGE_NAMES), "the image")
    return [_rated(file.parent, row) for row in rows]


def decoded(rated: Rated, side_px: int) -> UInt8[np.ndarray, "h w 3"]:
    """The image's pixels with the longer side at most `side_px`; DataError with file and row if it is unreadable."""
    try:
        return at_most(decode_image(rated.file.read_bytes(), LIMITS, side_px).pixels_u8, side_px)
    except (ImageRejectedError, OSError) as error:
        raise DataError(f"{rated.place}: {rated.file} cannot be read ({error}); fetch the image again") from error


def follows(scores: Float[np.ndarray, " n"], rated: Sequence[Rated], scorer: str, seed: int) -> list[Score]:
    """SRCC, PLCC and KRCC of `scores` with the tiers, of all images and of each category that has an order to follow.

    ValueError for fewer than three images, or where all scores or all tiers are equal.
    """
    tiers = np.array([one.tier for one in rated])
    of = np.array([one.category for one in rated], dtype=object)
    names = [name for name in dict.fromkeys(of.tolist()) if name and _has_order(scores[of == name], tiers[of == name])]
    groups = {"": np.ones(len(of), bool), **{name: of == name for name in names}}
    found = {name: correlations(scores[mask], tiers[mask], seed) for name, mask in groups.items()}
    return [
        Score(metric, one.value, one.low, one.high, by_group.num_rows, scorer, name, is_official=metric != "krcc")
        for metric in ("srcc", "plcc", "krcc")
        for name, by_group in found.items()
        for one in [getattr(by_group, metric)]
    ]


def is_grey(image_u8: UInt8[np.ndarray, "h w 3"]) -> bool:
    """Whether a picture is black and white."""
    return bool(colourfulness(image_u8[None])[0] < MAX_GREY_COLOURFULNESS)


def _has_order(scores: Float[np.ndarray, " n"], tiers: Float[np.ndarray, " n"]) -> bool:
    return len(scores) >= 3 and bool(np.ptp(scores) > 0 and np.ptp(tiers) > 0)


def _rated(folder: Path, row: Row) -> Rated:
    category = row.values.get("category")
    tier = row.number(*TIER_NAMES, low=1, high=10)
    name = row.text(*IMAGE_NAMES)
    places = (folder, folder / "images", folder.parent / "images")
    there = next((place for place in places if (place / name).is_file()), folder)
    return Rated(file_in(there, name, row.place), tier, category if isinstance(category, str) else "", row.place)
