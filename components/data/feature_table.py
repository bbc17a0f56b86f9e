"""Image features on disk and on their way: float16 rows beside the ids they belong to.

Extraction is mapped over batches by the data engine, part by part, and finished parts are kept; the network comes in
as a function, so nothing here knows it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float16, UInt8
from safetensors.numpy import load_file, save_file

from components.data.config import DecodeLimits
from components.data.decode import decode_squares
from components.data.engine import map_batches
from components.data.errors import DataError
from components.data.part_store import current_store
from components.data.parts import cut_parts
from components.data.records import read_table, write_table

PART_ROWS = 512
IDS = pa.schema([("sample_id", pa.string())])
_ROWS = pa.schema([("features", pa.binary())])
Extract = Callable[[UInt8[np.ndarray, "n h w 3"]], Float16[np.ndarray, "n d"]]
ReadImages = Callable[[Sequence[str]], pa.Table]


def features_of_images(
    read: ReadImages,
    sample_ids: Sequence[str],
    extract: Extract,
    *,
    made_by: Mapping[str, Any],
    px: int,
    limits: DecodeLimits,
    batch_size: int,
    report: Callable[[int], None] = lambda _: None,
) -> Float16[np.ndarray, "n d"]:
    """`extract` of every image (`read` brings their `bytes`) brought to a square of `px`, in the order of the ids.

    Parts of about 512 images are kept by their ids, `px` and `made_by`, which must name all that `extract` depends on
    besides code. `report` is told how many images are done.
    """
    done = list[np.ndarray]()
    for part in cut_parts(sample_ids, PART_ROWS):
        ids = list(sample_ids[part.start : part.stop])
        make = partial(_features_of_part, read, ids, extract, px, limits, batch_size)
        key = {"kind": "features", "made_by": dict(made_by), "px": px, "batch_size": batch_size, "sample_ids": ids}
        done.append(current_store().arrays(key, make)["features"])
        report(part.stop)
    return np.concatenate(done) if done else np.empty((0, 0), np.float16)


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


def _features_of_part(
    read: ReadImages, sample_ids: Sequence[str], extract: Extract, px: int, limits: DecodeLimits, batch_size: int
) -> dict[str, np.ndarray]:
    on_batch = partial(_extract_batch, extract=extract, px=px, limits=limits)
    mapped = map_batches(read(sample_ids).select(["bytes"]), on_batch, _ROWS, batch_size=batch_size)
    rows = b"".join(mapped.column("features").to_pylist())
    return {"features": np.frombuffer(rows, np.float16).reshape(len(sample_ids), -1)}


def _extract_batch(batch: pa.Table, extract: Extract, px: int, limits: DecodeLimits) -> pa.Table:
    rows = extract(decode_squares((data.as_py() for data in batch.column("bytes")), px, limits))
    return pa.table([pa.array([row.tobytes() for row in rows], pa.binary())], schema=_ROWS)
