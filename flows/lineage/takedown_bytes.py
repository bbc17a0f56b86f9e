"""Which files hold an image, in whatever form: its bytes, a copy of them inside another file, or a row that names it.

A Parquet table is read cell by cell, so that compression hides nothing; anything else is searched for the image's bytes
and for the same in base64, as pages embed them. A picture that was scaled or coded anew is not recognised: what shows
such pictures is known by what it was made from (see `flows.lineage.takedown_plan`).
"""

import base64
import hashlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from components.data.arrow import pc
from flows.lineage.byte_search import Needles

Holding = Literal["", "row", "image"]
_PARQUET, _MIN_NEEDLE = b"PAR1", 32
_TENSORS_HEAD = 9


@dataclass
class Wanted:
    """Images by the SHA-256 of their bytes, the bytes that are known so far, and what was found or named somewhere."""

    ids: frozenset[str]
    images: dict[str, bytes] = field(default_factory=dict)
    found: set[str] = field(default_factory=set[str])
    _searched: tuple[int, Needles] | None = field(default=None, init=False, repr=False)

    @property
    def needles(self) -> Needles:
        """What to search for in files that are no tables."""
        if self._searched is None or self._searched[0] != len(self.images):
            known = [data for data in self.images.values() if len(data) >= _MIN_NEEDLE]
            self._searched = len(self.images), Needles(known + [base64.b64encode(data)[:-4] for data in known])
        return self._searched[1]


def holding(file: Path, wanted: Wanted) -> Holding:
    """Whether `file` holds an image of `wanted`, or only rows that name one; images found are kept in `wanted`."""
    if is_parquet(file):
        found: Holding = ""
        for batch in _batches(file):
            kind = table_holding(batch, wanted)
            found = kind or found
            if kind == "image" and len(wanted.images) == len(wanted.ids):
                return "image"
        return found
    if not file.stat().st_size or is_tensors(file):
        return ""
    with file.open("rb") as stream:
        if (name := hashlib.file_digest(stream, "sha256").hexdigest()) in wanted.ids:
            wanted.found.add(name)
            return "image"
        if not wanted.images:
            return ""
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return "image" if wanted.needles.are_in(data) else ""


def is_parquet(file: Path) -> bool:
    """Whether the file begins and ends as Parquet does."""
    with file.open("rb") as stream:
        if stream.read(4) != _PARQUET:
            return False
        stream.seek(-4, 2)
        return stream.read(4) == _PARQUET


def is_tensors(file: Path) -> bool:
    """Whether the file is in the safetensors layout: it holds numbers, and no image as it was received."""
    with file.open("rb") as stream:
        head = stream.read(_TENSORS_HEAD)
    return len(head) == _TENSORS_HEAD and head[8:] == b"{" and int.from_bytes(head[:8], "little") < file.stat().st_size


def is_page(file: Path) -> bool:
    """Whether the file is an HTML page."""
    with file.open("rb") as stream:
        return stream.read(256).lstrip().lower().startswith((b"<!doctype html", b"<html"))


def table_holding(batch: pa.Table, wanted: Wanted) -> Holding:
    """As `holding`, of a table."""
    found: Holding = ""
    for column in batch.columns:
        for cells, _ in _leaves(column):
            if any(_hits(cells, wanted)):
                found = "row" if _is_text(cells.type) and found != "image" else "image"
    return found


def without(table: pa.Table, wanted: Wanted) -> pa.Table:
    """The rows of `table` that neither hold an image of `wanted` nor name one."""
    is_kept = [True] * table.num_rows
    for column in table.columns:
        for cells, rows in _leaves(column):
            for row, is_hit in zip(rows, _hits(cells, wanted), strict=True):
                is_kept[row] &= not is_hit
    return table.filter(pa.array(is_kept, pa.bool_()))


def count_rows(file: Path, wanted: Wanted) -> int:
    """How many rows of a table name an image of `wanted` or hold it; 0 of anything else."""
    if not is_parquet(file):
        return 0
    return sum(batch.num_rows - without(batch, wanted).num_rows for batch in _batches(file))


def _batches(file: Path) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(file) as table:
            for group in range(table.num_row_groups):
                yield table.read_row_group(group)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(
            f"{file}: damaged ({' '.join(str(error).split())[:120]}), so nobody can say what it holds; "
            "delete it or bring it back, and run again"
        ) from None


def _leaves(column: Any) -> Iterator[tuple[Any, list[int]]]:
    """The cells of text and bytes in a column, however deep in lists and structs, with the row of each."""
    row = 0
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        yield from _leaves_of(chunk, list(range(row, row + len(chunk))))
        row += len(chunk)


def _leaves_of(cells: Any, rows: list[int]) -> Iterator[tuple[Any, list[int]]]:
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_struct(cells.type):
        for child in cells.flatten():
            yield from _leaves_of(child, rows)
    elif pa.types.is_list(cells.type) or pa.types.is_large_list(cells.type):
        parents = pc.list_parent_indices(cells).to_pylist()
        yield from _leaves_of(cells.flatten(), [rows[parent] for parent in parents])
    elif _is_text(cells.type) or pa.types.is_binary(cells.type) or pa.types.is_large_binary(cells.type):
        yield cells, rows


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _hits(cells: Any, wanted: Wanted) -> list[bool]:
    """For each cell whether it holds an image of `wanted` (kept there) or is the name of one."""
    if _is_text(cells.type):
        is_hit = pc.is_in(cells, pa.array(sorted(wanted.ids), cells.type))
        wanted.found.update(cells.filter(is_hit).to_pylist())
        return is_hit.to_pylist()
    found = list[bool]()
    for cell in cells:
        data: bytes = cell.as_py() or b""
        name = hashlib.sha256(data).hexdigest()
        found.append(name in wanted.ids)
        if found[-1]:
            wanted.images[name] = data
            wanted.found.add(name)
    return found
