"""Parquet files that hold images as bytes: a column of bytes, or a struct with `bytes` as Hugging Face writes it."""

from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.data.readers.interface import (
    Outcome,
    ReadLimits,
    Refusal,
    RefusedError,
    Sample,
    checked_image,
    printable,
)
from components.data.readers.shards import ShardReader
from components.data.readers.stores import Stored
from components.data.readers.words import words_of

IMAGE_COLUMNS = ("image", "bytes", "image_bytes", "jpg", "jpeg", "png", "webp", "img", "content")
_NAME_COLUMNS = ("source_id", "__key__", "key", "file_name", "filename", "path", "id")
_BATCH_ROWS = 64


class ParquetReader(ShardReader):
    """Parquet files; a row group that cannot be read is one refusal."""

    endings = (".parquet",)

    def _rows(self, key: str, file: Stored) -> Iterator[Outcome]:
        with self._store.opened(file) as stream:
            table = open_parquet(stream, key)
            column = image_column(table.schema_arrow)
            if column is None:
                found = ", ".join(table.schema_arrow.names)
                detail = f"no column of image bytes (there: {found}); call it {IMAGE_COLUMNS[0]}"
                raise RefusedError(key, "wrong_schema", detail)
            seen: set[str] = set()
            for group in range(table.num_row_groups):
                try:
                    check_row_group(table, key, group, self._limits)
                    for row in rows_of_group(table, key, group):
                        yield self._sample(key, row, column, seen)
                except RefusedError as error:
                    if error.refusal.status == "failed":
                        raise
                    yield error.refusal

    def _sample(self, key: str, row: dict[str, Any], column: str, seen: set[str]) -> Outcome:
        number, cell = row.pop(""), row.pop(column)
        data, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
        own = next((row[name] for name in _NAME_COLUMNS if isinstance(row.get(name), str) and row[name]), path)
        name = printable(f"{key}#{own or number}")
        if name in seen:
            return Refusal(name, "listed_twice", f"row {number} has the name of an earlier one", "repeated")
        seen.add(name)
        try:
            return Sample(name, checked_image(name, data or b"", self._limits), words_of(row, name, self._limits))
        except RefusedError as error:
            return error.refusal


def open_parquet(stream: IO[bytes], key: str) -> pq.ParquetFile:
    """The file behind `stream`; RefusedError if it is not Parquet."""
    try:
        return pq.ParquetFile(stream)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # names of columns may be damaged, too
        raise RefusedError(key, "not_parquet", str(error)) from None


def check_row_group(file: pq.ParquetFile, key: str, group: int, limits: ReadLimits) -> None:
    """RefusedError if a row group would not fit into memory."""
    num_bytes = file.metadata.row_group(group).total_byte_size
    if num_bytes > limits.max_row_group_bytes:
        detail = f"{num_bytes} bytes; allowed: {limits.max_row_group_bytes}; write smaller row groups"
        raise RefusedError(f"{key}, row group {group}", "too_large", detail)


def rows_of_group(file: pq.ParquetFile, key: str, group: int) -> Iterator[dict[str, Any]]:
    """The rows of a group as dicts, with the row's number in the file under ""; RefusedError where it is corrupt."""
    number = sum(file.metadata.row_group(before).num_rows for before in range(group))
    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group]):
            for row in _as_bytes(batch).to_pylist():
                yield row | {"": number}
                number += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{key}, row group {group}", "corrupt_row_group", str(error)) from None


def image_column(schema: pa.Schema) -> str | None:
    """The column that holds images: the first known name whose type is bytes, or a struct with them."""
    by_name = {name.lower(): name for name in schema.names}
    for known in IMAGE_COLUMNS:
        if known in by_name and _holds_bytes(schema.field(by_name[known]).type):
            return by_name[known]
    return None


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_bytes(kind.field("bytes").type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _as_bytes(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Text columns as bytes: text that is not UTF-8 must be refused by row, not crash."""
    columns = [
        column.cast(pa.binary()) if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
