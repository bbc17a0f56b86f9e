"""Rows of JSON files that strangers wrote, one after the other: every fault is one line naming file and row."""

import io
import json
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import IO, Any

from components.data.errors import DataError
from components.data.readers.interface import printable

MAX_ROW_CHARACTERS = 1 << 20
MAX_PROMPT_CHARACTERS = 10_000
Row = dict[str, Any]


def rows_of_lines(file: Path, *, is_growing: bool = False) -> Iterator[tuple[str, Row]]:
    """The objects of a JSONL file, each with its place (file and line, from 1) for messages; blank lines are skipped.

    Of a file that `is_growing`, a last line without its line break is not written yet, and left out.
    """
    with _opened(file) as stream:
        number = 0
        while line := stream.readline(MAX_ROW_CHARACTERS + 1):
            number += 1
            place = f"{file}, line {number}"
            if len(line) > MAX_ROW_CHARACTERS:
                raise DataError(f"{place}: longer than {MAX_ROW_CHARACTERS} bytes; write one object per line")
            if is_growing and not line.endswith(b"\n"):
                return
            if line.strip():
                yield place, _object(_parsed(line, place), place)


def rows_of_list(file: Path) -> Iterator[tuple[str, Row]]:
    """The objects of a file that is one JSON list, each with its place (file and entry, from 0), read bit by bit."""
    place = f"{file}, entry 0"
    with _opened(file) as stream:
        window, number = _Window(stream), 0
        try:
            if not window.skip("["):
                raise DataError(f"{file}: not a JSON list; allowed: [{{...}}, ...]")
            is_more = not window.skip("]")
            while is_more:
                yield place, _object(window.take(), place)
                number += 1
                place = f"{file}, entry {number}"
                is_more = window.skip(",")
                if not is_more and not window.skip("]"):
                    raise DataError(f"{place}: the list is cut short or damaged; fetch the file again")
        except DataError:
            raise
        except (ValueError, RecursionError) as error:
            raise _not_json(place, error) from error


def text_of(row: Mapping[str, Any], key: str, place: str, *, max_characters: int = MAX_PROMPT_CHARACTERS) -> str:
    """The text under `key`, which must be there, not blank, and writable as UTF-8."""
    value = row.get(key)
    if not isinstance(value, str) or not value.strip() or len(value) > max_characters or not _is_utf8(value):
        shown = "missing" if value is None else printable(repr(value))[:80]
        raise DataError(f"{place}: {key!r} is {shown}; allowed: a text of 1 to {max_characters} characters")
    return value


def number_of(value: object, what: str, place: str) -> float:
    """`value` as a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise DataError(f"{place}: {what!r} is {printable(repr(value))[:80]}; allowed: a finite number")
    return float(value)


class _Window:
    """A part of a JSON text that moves on as values are taken."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = io.TextIOWrapper(stream, encoding="utf-8-sig")
        self._decoder = json.JSONDecoder()
        self._text, self._at = "", 0

    def skip(self, char: str) -> bool:
        """Go past white space, and then past `char` if it comes next, which is the answer."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text) or not self._grow():
                break
        is_next = self._text[self._at : self._at + 1] == char
        self._at += is_next
        return is_next

    def take(self) -> object:
        """The value that comes next; JSONDecodeError if there is none, or none of a row's length."""
        self.skip("")
        while True:
            try:
                value, self._at = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if len(self._text) - self._at > MAX_ROW_CHARACTERS or not self._grow():
                    raise
            else:
                return value

    def _grow(self) -> bool:
        more = self._stream.read(MAX_ROW_CHARACTERS)
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)


def _opened(file: Path) -> IO[bytes]:
    try:
        return file.open("rb")
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}; name a file that is there") from error


def _parsed(line: bytes, place: str) -> object:
    try:
        return json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _not_json(place, error) from error


def _object(value: object, place: str) -> Row:
    if not isinstance(value, dict):
        raise DataError(f"{place}: {printable(repr(value))[:80]}; allowed: an object with named values")
    return value


def _not_json(place: str, error: Exception) -> DataError:
    return DataError(f"{place}: not readable as JSON ({printable(' '.join(str(error).split()))[:120]}); mend the row")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
