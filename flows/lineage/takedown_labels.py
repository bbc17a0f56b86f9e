"""What people said of images in files below data/: rows that name an image that is taken down go with it.

A row names an image by its SHA-256, as votes do, or by its place beside the file, as lists of labels and of pairs do
(`components.preference.aes_labels`, `components.preference.readers`). Left behind, it would tell what people thought of
somebody's picture, and stop the next run, which looks for the file.
"""

import csv
import io
import json
import posixpath
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pyarrow.parquet as pq

from flows.lineage.takedown_bytes import Wanted, count_rows, is_parquet
from flows.reports import write_durably

_AVA_FOLDER, _AVA_ENDING = "images", ".jpg"
_PAIRS = {"winner", "loser"}


class LabelsError(ValueError):
    """A file that names an image, and whose rows cannot be told apart."""


def gone_files(root: Path, raw: Collection[str]) -> list[Path]:
    """Those of the raw files that go whole: neither tables nor texts."""
    return [root / path for path in raw if PurePosixPath(path).suffix.lower() not in (".parquet", *_ROWS)]


def naming(wanted: Wanted, file: Path, gone: Collection[Path]) -> Wanted:
    """`wanted` as `file` would name it: with the places of the files in `gone` as they look from there."""
    folders = (file.parent, file.with_suffix(""))
    places = {path.relative_to(one).as_posix() for one in folders for path in gone if path.is_relative_to(one)}
    return replace(wanted, ids=wanted.ids | places)


def is_label_text(file: Path) -> bool:
    """Whether the file's name says that it may be a list of labels or pairs as text."""
    return file.suffix.lower() in _ROWS


def num_labels(file: Path, wanted: Wanted) -> int:
    """How many rows of a text, or of a table of pairs, name an image of `wanted`.

    Raises:
        LabelsError: it names one, and rows cannot be told apart in it.
    """
    if is_pairs_table(file):
        return count_rows(file, wanted)
    return _split(file, wanted.ids)[1] if is_label_text(file) else 0


def is_pairs_table(file: Path) -> bool:
    """Whether the file is a table of pairs, which may name images by their places."""
    return is_parquet(file) and set(pq.read_schema(file).names) >= _PAIRS


def rewrite_labels(file: Path, wanted: Wanted) -> None:
    """Write a text without the rows that name an image of `wanted`; every other row as it was."""
    left, number = _split(file, wanted.ids)
    if number:
        write_durably(file, left)


def _split(file: Path, names: Collection[str]) -> tuple[str, int]:
    """The text without the rows that name one of `names`, and how many these were."""
    data = file.read_bytes()
    try:
        rows = list(_ROWS[file.suffix.lower()](data.decode()))
    except (ValueError, csv.Error, RecursionError):
        if any(name.encode() in data for name in names):
            raise LabelsError(f"{file}: names an image, and its rows cannot be told apart") from None
        return "", 0
    kept = [row for row, cells in rows if not any(_is_name(cell, names) for cell in cells)]
    is_list = file.suffix.lower() == ".json"
    return f"[{','.join(kept)}]\n" if is_list else "".join(kept), len(rows) - len(kept)


def _is_name(cell: str, names: Collection[str]) -> bool:
    return cell in names or (cell.isprintable() and posixpath.normpath(cell) in names)


def _lines(text: str) -> Iterator[str]:
    """As files have them: other than `str.splitlines`, which breaks at more characters than these formats do."""
    return iter(io.StringIO(text, newline=""))


def _csv_rows(text: str) -> Iterator[tuple[str, list[str]]]:
    taken = list[str]()

    def lines() -> Iterator[str]:
        for line in _lines(text):
            taken.append(line)
            yield line

    for cells in csv.reader(lines()):
        yield "".join(taken), cells
        taken.clear()


def _json_lines(text: str) -> Iterator[tuple[str, list[str]]]:
    for line in _lines(text):
        yield line, list(_texts(json.loads(line))) if line.strip() else []


def _json_list(text: str) -> Iterator[tuple[str, list[str]]]:
    value = json.loads(text)
    for row in cast(list[Any], value) if isinstance(value, list) else ():
        yield json.dumps(row, ensure_ascii=False), list(_texts(row))


def _ava_lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """The second number of a line names a picture in the folder beside the file; anything else by its words."""
    for line in _lines(text):
        words = line.split()
        is_numbered = len(words) > 1 and all(word.isascii() and word.isdigit() for word in words)
        place = [str(PurePosixPath(_AVA_FOLDER, f"{int(words[1])}{_AVA_ENDING}"))] if is_numbered else []
        yield line, [*words, *place]


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value of JSON, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        inner = cast(dict[Any, Any], value).values() if isinstance(value, dict) else cast(list[Any], value)
        for one in inner:
            yield from _texts(one)


_ROWS: dict[str, Callable[[str], Iterator[tuple[str, list[str]]]]] = {
    ".csv": _csv_rows,
    ".jsonl": _json_lines,
    ".json": _json_list,
    ".txt": _ava_lines,
}
