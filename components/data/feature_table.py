"""Image features on disk and on their way: float16 rows beside the ids they belong to.

Extraction is mapped over batches by the data engine; the network comes in as a function, so nothing here knows it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float16, UInt8
from safetensors.numpy import load_file, save_file

from components.data.config import DecodeLimits
from components.data.decode import decode_squares
from components.data.engine import map_batches
from components.data.errors import DataError
from components.data.records import read_table, write_table

IDS = pa.schema([("sample_id", pa.string())])
_ROWS = pa.schema([("features", pa.binary())])
Extract = Callable[[UInt8[np.ndarray, "n h w 3"]], Float16[np.ndarray, "n d"]]


def features_of_images(
    images: pa.Table, extract: Extract, *, px: int, limits: DecodeLimits, batch_size: int
) -> Float16[np.ndarray, "n d"]:
    """`extract` of every image (column `bytes`) brought to a square of `px`, in the table's order."""
    on_batch = partial(_extract_batch, extract=extract, px=px, limits=limits)
    mapped = map_batches(images.select(["bytes"]), on_batch, _ROWS, batch_size=batch_size)
    rows = b"".join(mapped.column("features").to_pylist())
    return np.frombuffer(rows, np.float16).reshape(images.num_rows, -1)


def write_features(features: Float16[np.ndarray, "n d"], sample_ids: Sequence[str], folder: Path) -> None:
    """Write features.safetensors and sample_ids.parquet, in one order."""
    folder.mkdir(parents=True)
    save_file({"features": np.ascontiguousarray(features)}, folder / "features.safetensors")
    write_table(pa.table([pa.array(sample_ids, pa.string())], schema=IDS), folder / "sample_ids.parquet")


def read_features(folder: Path, sample_ids: Sequence[str]) -> Float16[np.ndarray, "n d"]:
    """Features of `sample_ids`, in their order; DataError names one that is not there."""
    there = read_table(folder / "sample_ids.parquet", IDS).column("sample_id").to_pylist()
    place = {sample_id: row for row, sample_id in enumerate(there)}
    absent = next((sample_id for sample_id in sample_ids if sample_id not in place), None)
    if absent is not None:
        raise DataError(f"{folder}: has no features of sample {absent}; run the stage categorize")
    rows = [place[sample_id] for sample_id in sample_ids]
    return load_file(folder / "features.safetensors")["features"][rows]


def _extract_batch(batch: pa.Table, extract: Extract, px: int, limits: DecodeLimits) -> pa.Table:
    rows = extract(decode_squares((data.as_py() for data in batch.column("bytes")), px, limits))
    return pa.table([pa.array([row.tobytes() for row in rows], pa.binary())], schema=_ROWS)
