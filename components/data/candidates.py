"""What a network says of the few images that it is asked about, kept part by part.

The network comes in as a function of pixels, so nothing here knows it; dear per image, so finished parts are kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, UInt8

from components.data.config import DecodeLimits
from components.data.decode import decode_image
from components.data.part_store import current_store
from components.data.parts import cut_parts

PART_IMAGES = 128
ReadImages = Callable[[Sequence[str]], pa.Table]
Score = Callable[[Sequence[UInt8[np.ndarray, "h w 3"]]], Float32[np.ndarray, " n"]]


def score_images(
    read: ReadImages, sample_ids: Sequence[str], name: str, score: Score, limits: DecodeLimits, px: int
) -> Float32[np.ndarray, " n"]:
    """`score` of every image (`read` brings their `bytes`), of pixels with a longer side of at least `px` or all."""
    found = [np.empty(0, np.float32)]
    for rows in cut_parts(sample_ids, PART_IMAGES):
        ids = list(sample_ids[rows.start : rows.stop])

        def make(ids: Sequence[str] = ids) -> dict[str, Float32[np.ndarray, " n"]]:
            pixels = [decode_image(data.as_py(), limits, px).pixels_u8 for data in read(ids).column("bytes")]
            return {"scores": score(pixels)}

        key = {"score": name, "images": ids, "px": px, "limits": asdict(limits)}
        found.append(current_store().arrays(key, make)["scores"])
    return np.concatenate(found)
