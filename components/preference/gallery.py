"""The pictures of a tournament: the images of a folder, named by what is in them, and pairs of known order."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from components.data.config import DecodeLimits
from components.data.decode import ImageRejectedError, at_most, decode_rgb
from components.data.degradations import DEGRADATIONS
from components.data.errors import DataError
from components.preference.calibration import Known

_MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
_CALIBRATION_PX = 768


@dataclass(frozen=True)
class Picture:
    """A picture as a browser gets it: a file, or bytes that were made for it."""

    source: Path | bytes
    media_type: str

    def read(self) -> bytes:
        """Its bytes."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


def pictures_in(folder: Path, limits: DecodeLimits) -> dict[str, Picture]:
    """The images of a folder by the SHA-256 of their bytes, in the order of that; equal files are one.

    DataError for a folder without two images, and for one that cannot be decoded.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name one with images")
    found: dict[str, Picture] = {}
    for file in sorted(folder.iterdir()):
        media_type = _MEDIA_TYPES.get(file.suffix.lower())
        if media_type is None or not file.is_file():
            continue
        data = file.read_bytes()
        try:
            decode_rgb(data, limits)
        except ImageRejectedError as error:
            raise DataError(f"{file}: {error}; take the file out of the folder") from error
        found[hashlib.sha256(data).hexdigest()] = Picture(file, media_type)
    if len(found) < 2:
        raise DataError(f"{folder}: {len(found)} different images ({', '.join(_MEDIA_TYPES)}); bring two or more")
    return dict(sorted(found.items()))


def damaged_pairs(
    pictures: Mapping[str, Picture], num_pairs: int, seed: int, limits: DecodeLimits
) -> tuple[dict[str, Picture], list[Known]]:
    """Images with the same ones damaged beyond doubt (blur, JPEG, noise and few colours in turn), and which is which.

    Fewer than `num_pairs` where there are fewer images. Which ones, and the noise, follow from `seed`.
    """
    drawn = np.random.default_rng(seed)
    names = [list(pictures)[place] for place in drawn.permutation(len(pictures))[:num_pairs].tolist()]
    damages = list(DEGRADATIONS.values())
    shown: dict[str, Picture] = {}
    known: list[Known] = []
    for number, name in enumerate(names):
        better = at_most(decode_rgb(pictures[name].read(), limits), _CALIBRATION_PX)
        worse = damages[number % len(damages)](better[None], 1.0, drawn)[0]
        pair = [_png(better), _png(worse)]
        of_pair = [hashlib.sha256(data).hexdigest() for data in pair]
        if of_pair[0] == of_pair[1]:
            continue  # of one colour: no damage shows
        shown.update({key: Picture(data, "image/png") for key, data in zip(of_pair, pair, strict=True)})
        known.append(Known(*of_pair))
    return shown, known


def _png(pixels_u8: UInt8[np.ndarray, "h w 3"]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels_u8).save(out, "PNG")
    return out.getvalue()
