"""Rows of the files that benchmarks are published in, each with its place: every fault is one line that names it."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from components.data.errors import DataError
from components.data.readers.interface import printable

MAX_FILE_BYTES = 64 << 20
MAX_TEXT_CHARACTERS = 20_000


@dataclass(frozen=True)
class Row:
    """What a file says of one case, and where: file and line, or file and entry."""

    values: Mapping[str, Any]
    place: str

    def text(self, *names: str) -> str:
        """The text under the first of `names` that the row has; DataError if there is none, or it is blank."""
        name = next((one for one in names if one in self.values), names[0])
        value = self.values.get(name)
        if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT_CHARACTERS or not _is_utf8(value):
            shown = "missing" if value is None else shown_as(value)
            raise DataError(f"{self.place}: {name!r} is {shown}; needed: a text of 1 to {MAX_TEXT_CHARACTERS} letters")
        return value.strip()

    def number(self, *names: str, low: float, high: float) -> float:
        """The number under the first of `names` that the row has, also if it is written as text."""
        name = next((one for one in names if one in self.values), names[0])
        value = self.values.get(name)
        try:
            number = float("nan") if value is None or isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not low <= number <= high:
            shown = "missing" if value is None else shown_as(value)
            raise DataError(f"{self.place}: {name!r} is {shown}; needed: a number from {low:g} to {high:g}")
        return number

    def one_of(self, name: str, allowed: Sequence[str]) -> str:
        """The text under `name`, which must be one of `allowed`."""
        value = self.text(name)
        if value not in allowed:
            raise DataError(f"{self.place}: {name!r} is {shown_as(value)}; known: {', '.join(allowed)}")
        return value


def read_rows(file: Path) -> list[Row]:
    """The rows of a `.jsonl`, `.json` (one list) or `.csv` file; DataError if it cannot be read or has none."""
    content = _content(file)
    match file.suffix.lower():
        case ".jsonl":
            lines = enumerate(content.split("\n"), start=1)
            rows = [_row(_parsed(line, f"{file}, line {n}"), f"{file}, line {n}") for n, line in lines if line.strip()]
        case ".json":
            value = _parsed(content, str(file))
            if not isinstance(value, list):
                raise DataError(f"{file}: not a JSON list; needed: [{{...}}, ...]")
            entries = enumerate(cast(list[Any], value))
            rows = [_row(entry, f"{file}, entry {number}") for number, entry in entries]
        case ".csv":
            rows = _csv_rows(file, content)
        case other:
            raise DataError(f"{file}: the name ends in {other!r}; known: .jsonl, .json, .csv")
    if not rows:
        raise DataError(f"{file}: no rows; fetch the file again")
    return rows


def check_different(rows: Sequence[Row], key: Callable[[Row], str], what: str) -> None:
    """DataError naming the second of two rows with the same key."""
    seen: dict[str, str] = {}
    for row in rows:
        name = key(row)
        if name in seen:
            raise DataError(f"{row.place}: {what} {shown_as(name)} stands at {seen[name]} already; keep one of them")
        seen[name] = row.place


def file_in(folder: Path, name: str, place: str) -> Path:
    """The file called `name` below `folder`; DataError for a name that leads elsewhere, or a file that is not there."""
    file = folder / name
    if "\0" in name or not file.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{place}: {shown_as(name)} lies outside of {folder}; needed: a file in that folder")
    if not file.is_file():
        raise DataError(f"{place}: the image {printable(str(file))} is missing; fetch it, or take the row out")
    return file


def shown_as(value: object) -> str:
    """A value in a message: one line, at most 80 characters."""
    return printable(repr(value))[:80]


def _csv_rows(file: Path, content: str) -> list[Row]:
    """The rows of a CSV file with a line of names."""
    stream = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    rows: list[Row] = []
    try:
        for values in stream:
            place = f"{file}, line {stream.line_num}"
            if None in values or None in values.values():
                raise DataError(f"{place}: not as many fields as names in the first line; mend the row")
            rows.append(Row(values, place))
    except csv.Error as error:
        raise DataError(f"{file}, line {stream.line_num}: not readable as CSV ({error}); mend the row") from error
    return rows


def _content(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"{file}: more than {MAX_FILE_BYTES} bytes; no benchmark's prompts are that long")
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}; name the benchmark's prompt file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 at byte {error.start}; fetch the file again") from error


def _parsed(text: str, place: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not readable as JSON ({printable(str(error))[:120]}); mend the row") from error


def _row(value: object, place: str) -> Row:
    if not isinstance(value, dict):
        raise DataError(f"{place}: {shown_as(value)}; needed: an object with named values")
    return Row(cast(dict[str, Any], value), place)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
