"""Parquet as the `datasets` library of Hugging Face lays it out: an image is {bytes, path}, and the schema says so.

`load_dataset("parquet")` and the viewers read the features from the schema's metadata, under the key `huggingface`.
Source: https://huggingface.co/docs/datasets/image_dataset and `Features.arrow_schema` of datasets 2 to 4.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.data.exports.samples import ROWS, Batch, image_name

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_ROW_GROUP_ROWS = 100  # viewers fetch one row group to show a page
_DTYPES = {pa.string(): "string", pa.int32(): "int32", pa.float32(): "float32", pa.float64(): "float64"}


def features() -> dict[str, Any]:
    """The columns in the words of `datasets.Features`."""
    return {"image": {"_type": "Image"}} | {field.name: _feature(field.type) for field in ROWS}


def schema() -> pa.Schema:
    """The Parquet schema, with the features in its metadata."""
    about = json.dumps({"info": {"features": features()}}, separators=(",", ":"))
    return pa.schema([pa.field("image", IMAGE), *ROWS], metadata={"huggingface": about})


def write_parquet(folder: Path, batches: Iterable[Batch], split: str, num_files: int) -> list[Path]:
    """One `data/SPLIT-NNNNN-of-NNNNN.parquet` for each batch, in order."""
    (folder / "data").mkdir(parents=True)
    files: list[Path] = []
    for number, batch in enumerate(batches):
        names = [image_name(row) for row in batch.rows.select(["sample_id", "format"]).to_pylist()]
        images = pa.StructArray.from_arrays([pa.array(batch.images, pa.binary()), pa.array(names)], fields=list(IMAGE))
        table = pa.table([images, *batch.rows.columns], schema=schema())
        files.append(folder / "data" / f"{split}-{number:05d}-of-{num_files:05d}.parquet")
        pq.write_table(table, files[-1], compression="zstd", row_group_size=_ROW_GROUP_ROWS)
    return files


def _feature(kind: pa.DataType) -> Any:
    # A list of one mapping is a list of structures in every version of `datasets`; "List" is known to 4 and later only.
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"dtype": _DTYPES[kind], "_type": "Value"}
