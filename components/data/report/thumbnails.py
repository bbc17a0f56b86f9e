"""Small pictures that stand in a page: the images of a few samples, as `data:` addresses."""

import base64
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8
from PIL import Image

from components.data import records
from components.data.arrow import pc
from components.data.config import DecodeLimits
from components.data.decode import decode_square
from components.data.errors import DataError

_WEBP_QUALITY = 62


def read_bytes(images: Path, catalogue: pa.Table, sample_ids: Iterable[str]) -> dict[str, bytes]:
    """The bytes of each of `sample_ids`, read from their shards only; DataError if one is not there."""
    wanted = pa.array(sorted(set(sample_ids)), pa.string())
    rows = catalogue.filter(pc.is_in(catalogue.column("sample_id"), wanted))
    found = dict[str, bytes]()
    for shard in sorted(set(rows.column("shard").to_pylist())):
        with pq.ParquetFile(records.part_file(images, shard)) as part:
            for batch in part.iter_batches(batch_size=256):
                taken = batch.filter(pc.is_in(batch.column("sample_id"), wanted))
                found |= zip(taken.column("sample_id").to_pylist(), taken.column("bytes").to_pylist(), strict=True)
    missing = [sample_id for sample_id in wanted.to_pylist() if sample_id not in found]
    if missing:
        raise DataError(f"{images}: has no sample {missing[0]}; its tables are of another run, run ingest again")
    return found


def thumbnails(images: Mapping[str, bytes], px: int, limits: DecodeLimits) -> dict[str, str]:
    """For each sample its whole image on a white square of `px` pixels, as a `data:` address that holds a WebP."""
    return {sample_id: _webp_uri(decode_square(data, px, limits)) for sample_id, data in images.items()}


def _webp_uri(pixels_u8: UInt8[np.ndarray, "h w 3"]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels_u8).save(buffer, "WEBP", quality=_WEBP_QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
