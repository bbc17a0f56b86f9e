"""What is measured of every image at intake, once, on small copies: the columns `MEASURES` of the catalogue.

* On the view (the whole picture, its longer side at most 256 pixels, never enlarged): `view_sharpness`, `lettering`,
  `repetition`.
* On the view stretched to a square of 64: `sharpness`, `entropy`, `colourfulness`, `blank_frac`, `border_frac`,
  `skin_frac` and the mean colour. Stretched, because bars beside a photograph would be measured as part of it.
* On that square halved: `phash`.

Measures describe; only `filters` decides.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from components.data import lettering
from components.data import quality_measures as quality
from components.data.decode import stretched
from components.data.phash import HASH_PX, perceptual_hash
from components.data.records import MEASURES

VIEW_PX = 256
SQUARE_PX = 64
_AT_ONCE = 32
MEAN_RGB = ("mean_red", "mean_green", "mean_blue")


def measure_views(views: Sequence[UInt8[np.ndarray, "_ _ 3"]], with_repetition: bool) -> pa.Table:
    """`MEASURES` of each view; `repetition`, which costs as much as decoding, is null unless asked for."""
    # A few at a time: a batch of squares in floats that leaves the processor's cache takes five times as long.
    few = (views[start : start + _AT_ONCE] for start in range(0, len(views), _AT_ONCE))
    return pa.concat_tables([MEASURES.empty_table(), *(_measure_few(part, with_repetition) for part in few)])


def _measure_few(views: Sequence[UInt8[np.ndarray, "_ _ 3"]], with_repetition: bool) -> pa.Table:
    squares = np.stack([stretched(view, SQUARE_PX) for view in views])
    halved = np.stack([stretched(square, HASH_PX) for square in squares])
    square_greys, grounds = quality.grey(squares), quality.ground(squares)
    greys = [cv2.cvtColor(view, cv2.COLOR_RGB2GRAY) for view in views]
    columns = {
        "phash": perceptual_hash(halved),
        **dict(zip(MEAN_RGB, quality.mean_rgb(squares).T, strict=True)),
        "sharpness": quality.sharpness(square_greys),
        "entropy": quality.entropy(square_greys),
        "colourfulness": quality.colourfulness(squares),
        "blank_frac": quality.blank_frac(grounds),
        "border_frac": quality.border_frac(grounds),
        "skin_frac": quality.skin_frac(squares),
        "view_sharpness": [quality.view_sharpness(grey) for grey in greys],
        "lettering": [lettering.lettering(grey) for grey in greys],
        "repetition": [lettering.repetition(grey) if with_repetition else None for grey in greys],
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in MEASURES], schema=MEASURES)
