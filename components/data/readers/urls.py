"""Lists of web addresses, Parquet or CSV, with the words of each image in the other columns."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

from components.data.errors import DataError
from components.data.readers.download import Downloader
from components.data.readers.interface import (
    Item,
    Outcome,
    ReadLimits,
    RefusedError,
    Sample,
    checked_image,
    checked_name,
    printable,
)
from components.data.readers.parquet import open_parquet, rows_of_group
from components.data.readers.stores import Store, Stored
from components.data.readers.words import words_of

URL_COLUMNS = ("url", "image_url", "link")


class UrlReader:
    """One item per address; `key` is the address. An address that a list names again is listed again."""

    num_at_once = 8

    def __init__(self, store: Store, limits: ReadLimits, downloader: Downloader) -> None:
        self._store, self._limits, self._downloader = store, limits, downloader

    def listing(self) -> Iterator[Item]:
        """Every row of every list, in order; DataError for a list that cannot be read."""
        for file in self._store.listing():
            if file.ending not in (".csv", ".parquet"):
                continue
            try:
                for number, row in enumerate(self._rows_of_list(file)):
                    yield _item(file, number, {str(key).lower(): value for key, value in row.items()})
            except RefusedError as error:
                refusal = error.refusal
                raise DataError(f"{refusal.name}: {refusal.reason} ({refusal.detail}); mend the list") from None

    def rows(self, item: Item) -> Iterator[Outcome]:
        """The image behind the address, with its words."""
        row = item.content
        if row is None:
            raise RefusedError(item.key, "no_address", f"its column {' / '.join(URL_COLUMNS)} is empty")
        words = words_of(row, item.key, self._limits)
        image = self._downloader.fetch(checked_name(item.key))
        yield Sample(item.key, checked_image(item.key, image, self._limits), words)

    def _rows_of_list(self, file: Stored) -> Iterator[dict[str, Any]]:
        if file.fault:
            raise RefusedError(file.key, file.fault)
        with self._store.opened(file) as stream:
            if file.ending == ".csv":
                text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
                try:
                    yield from _rows_of_csv(file, text)
                finally:
                    text.detach()  # it would close the file, which is the store's
                return
            table = open_parquet(stream, file.key)
            _check_columns(file, table.schema_arrow.names)
            for group in range(table.num_row_groups):
                yield from rows_of_group(table, file.key, group)


def _rows_of_csv(file: Stored, stream: io.TextIOWrapper) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(stream, strict=True)
    try:
        _check_columns(file, list(reader.fieldnames or ()))
        yield from reader
    except (csv.Error, UnicodeDecodeError) as error:
        raise RefusedError(file.key, "not_csv", f"line {reader.line_num + 1}: {error}") from None


def _check_columns(file: Stored, names: list[str]) -> None:
    if not {name.lower() for name in names} & set(URL_COLUMNS):
        found = ", ".join(map(printable, names)) or "none"
        raise RefusedError(file.key, "wrong_schema", f"no column {' / '.join(URL_COLUMNS)} (there: {found})")


def _item(file: Stored, number: int, row: dict[str, Any]) -> Item:
    row.pop("", None)
    given = next((row[name] for name in URL_COLUMNS if row.get(name)), "")
    url = (given.decode(errors="replace") if isinstance(given, bytes) else str(given)).strip()
    canonical = json.dumps(row, sort_keys=True, default=str)
    fingerprint = hashlib.sha256(canonical.encode(errors="backslashreplace")).hexdigest()[:32]
    key = printable(url) if url else f"{file.key}#{number}"
    return Item(key, fingerprint, 0, row if url else None)
