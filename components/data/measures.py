"""What is measured of every image at intake, once, on small copies: the columns `MEASURES` of the catalogue.

* On the view (the whole picture, its longer side at most 256 pixels, never enlarged): `view_sharpness`, `lettering`,
  `repetition`.
* On the view stretched to a square of 64: `sharpness`, `entropy`, `colourfulness`, `blank_frac`, `border_frac`,
  `skin_frac` and the mean colour. Stretched, because bars beside a photograph would be measured as part of it.
* On the view stretched to a square of 32: `phash`.

Measures describe; only `filters` decides.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from PIL import Image

from components.data import lettering, quality_measures
from components.data.decode import stretched
from components.data.phash import HASH_PX, perceptual_hash
from components.data.records import MEASURES

VIEW_PX = 256
SQUARE_PX = 64
_AT_ONCE = 32
MEAN_RGB = ("mean_red", "mean_green", "mean_blue")
_OF_SQUARES = {
    "sharpness": quality_measures.sharpness,
    "entropy": quality_measures.entropy,
    "colourfulness": quality_measures.colourfulness,
    "blank_frac": quality_measures.blank_frac,
    "border_frac": quality_measures.border_frac,
    "skin_frac": quality_measures.skin_frac,
}


def measure_views(views: Sequence[UInt8[np.ndarray, "_ _ 3"]], with_repetition: bool) -> pa.Table:
    """`MEASURES` of each view; `repetition`, which costs as much as decoding, is null unless asked for."""
    # A few at a time: a batch of squares in floats that leaves the processor's cache takes five times as long.
    few = (views[start : start + _AT_ONCE] for start in range(0, len(views), _AT_ONCE))
    return pa.concat_tables([MEASURES.empty_table(), *(_measure_few(part, with_repetition) for part in few)])


def _measure_few(views: Sequence[UInt8[np.ndarray, "_ _ 3"]], with_repetition: bool) -> pa.Table:
    squares = np.stack([stretched(view, SQUARE_PX) for view in views])
    greys = [np.asarray(Image.fromarray(view).convert("L"), np.float32) for view in views]
    columns = {
        "phash": perceptual_hash(np.stack([stretched(view, HASH_PX) for view in views])),
        **dict(zip(MEAN_RGB, squares.mean(axis=(1, 2)).T, strict=True)),
        **{name: measure(squares) for name, measure in _OF_SQUARES.items()},
        "view_sharpness": [quality_measures.view_sharpness(grey) for grey in greys],
        "lettering": [lettering.lettering(grey) for grey in greys],
        "repetition": [lettering.repetition(grey) if with_repetition else None for grey in greys],
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in MEASURES], schema=MEASURES)
