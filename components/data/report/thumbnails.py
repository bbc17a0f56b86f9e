"""Small pictures that stand in a page: the images of a few samples, as `data:` addresses."""

import base64
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from PIL import Image

from components.data.config import DecodeLimits
from components.data.decode import decode_image, square
from components.data.image_shards import ImageShards

_WEBP_QUALITY = 62


def read_bytes(images: Path, catalogue: pa.Table, sample_ids: Iterable[str]) -> dict[str, bytes]:
    """The bytes of each of `sample_ids`, read from their shards only; DataError if one is not there."""
    wanted = sorted(set(sample_ids))
    found = ImageShards(images, catalogue).take(wanted)
    return dict(zip(wanted, found.column("bytes").to_pylist(), strict=True))


def thumbnails(images: Mapping[str, bytes], px: int, limits: DecodeLimits) -> dict[str, str]:
    """For each sample its whole image on a white square of `px` pixels, as a `data:` address that holds a WebP."""
    return {
        sample_id: _webp_uri(square(decode_image(data, limits, px).pixels_u8, px)) for sample_id, data in images.items()
    }


def _webp_uri(pixels_u8: UInt8[np.ndarray, "h w 3"]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels_u8).save(buffer, "WEBP", quality=_WEBP_QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
