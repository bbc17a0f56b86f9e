"""From what a person gave (a file, a digest, an address, a creator, a source) to the images that are meant.

The raw data in data/ are asked, row by row, since no stage may have run yet; the catalogue adds perceptual hashes, by
which near duplicates are told. Digests that only the ledger's sample sets still know are matches too.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.data.config import DecodeLimits
from components.data.opt_out import digest
from components.lineage.takedown import Method
from flows.parameters import PARAMS_FILE, read_blocks

CATALOGUE = "artifacts/tables/catalogue.parquet"
_TOLD = ("source_id", "source", "creator", "attribution", "licence", "title_en")
_MAX_NEAR_BITS = 16
_HEX = frozenset("0123456789abcdef")
_EMPTY = hashlib.sha256(b"").hexdigest()


class TakedownError(ValueError):
    """A takedown that cannot be done as asked; one line says what to do."""


@dataclass(frozen=True)
class Wish:
    """What a person asked to have taken down, and whether near duplicates within so many bits go too."""

    method: Method
    value: str
    near: int | None = None

    def __post_init__(self) -> None:
        if not self.value.strip():
            raise TakedownError(f"--{self.method} is empty; say which images are meant")
        if self.near is not None and not 0 <= self.near <= _MAX_NEAR_BITS:
            raise TakedownError(f"--near is {self.near}; allowed: 0 to {_MAX_NEAR_BITS} bits of 64")
        if self.method == "sha256" and not (len(self.value) == 64 and set(self.value) <= _HEX):
            raise TakedownError(f"--sha256 {self.value!r}: give 64 hexadecimal digits, in small letters")
        if self.value == _EMPTY:
            raise TakedownError("--sha256 is that of no bytes at all, which no image has; give an image's")
        if self.method != "file" and self.value != self.value.encode(errors="replace").decode():
            raise TakedownError(f"--{self.method} {self.value!r}: not UTF-8, as all that the data tell is")


@dataclass(frozen=True)
class Match:
    """One image, how it was found and at which distance; what is told of it where it was found."""

    sample_id: str
    method: str
    distance: int = 0
    is_seen: bool = True
    source_id: str = ""
    source: str = ""
    creator: str = ""
    attribution: str = ""
    title_en: str = ""


def find_matches(root: Path, wish: Wish) -> list[Match]:
    """The images that `wish` means, each once, exact ones first; a digest that nobody knows is a match unseen.

    Raises:
        TakedownError: a file that is none, or near duplicates asked for where nothing tells how images look.
    """
    asked = asked_id(wish)
    exact = dict[str, Match]()
    for row in raw_rows(root / "data"):
        if _means(wish, asked, row):
            told: dict[str, Any] = {name: row[name] for name in _TOLD if name in Match.__dataclass_fields__}
            exact.setdefault(row["sample_id"], Match(row["sample_id"], wish.method, **told))
    if asked and asked not in exact:
        exact[asked] = Match(asked, wish.method, is_seen=False)
    near = _near(root, wish, list(exact)) if wish.near is not None else []
    return [*exact.values(), *(one for one in near if one.sample_id not in exact)]


def raw_rows(data: Path) -> Iterator[dict[str, str]]:
    """Digest of the image and what is told of it, for every raw row below `data`."""
    for file in sorted(data.rglob("*.parquet")):
        with pq.ParquetFile(file) as table:
            if "image" not in table.schema_arrow.names or not pa.types.is_binary(
                table.schema_arrow.field("image").type
            ):
                continue
            names = [name for name in _TOLD if name in table.schema_arrow.names]
            for group in range(table.num_row_groups):
                rows = table.read_row_group(group, columns=["image", *names])
                texts = {name: _texts(rows.column(name)) for name in names}
                for number, image in enumerate(rows.column("image")):
                    told = {name: texts[name][number] if name in texts else "" for name in _TOLD}
                    yield {"sample_id": hashlib.sha256(image.as_py() or b"").hexdigest(), **told}


def is_address(value: str) -> bool:
    """Whether a row's name or attribution is an address, which can be refused in future whatever bytes lie there."""
    return value.startswith(("http://", "https://", "s3://"))


def _texts(column: Any) -> list[str]:
    """A text column, with what is not UTF-8 replaced, nulls as ""."""
    return [(cell or b"").decode(errors="replace") for cell in column.cast(pa.binary()).to_pylist()]


def limits_of(root: Path) -> DecodeLimits:
    """The limits within which `ingest` decodes pictures in this workspace."""
    given = read_blocks(root / PARAMS_FILE).get("ingest", {}).get("limits")
    return DecodeLimits(**given) if given else DecodeLimits(50_000_000, 20_000_000, 500.0)


def asked_id(wish: Wish) -> str:
    """The digest that is asked for; "" where images are named otherwise."""
    if wish.method == "sha256":
        return wish.value
    if wish.method != "file":
        return ""
    if Path(wish.value).exists() and not Path(wish.value).is_file():
        raise TakedownError(f"{wish.value}: no file; give one image's")
    try:
        with Path(wish.value).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise TakedownError(f"{wish.value}: not readable ({error.strerror}); give the image's file") from None
    if found == _EMPTY:
        raise TakedownError(f"{wish.value}: empty, so no image; give the image's file")
    return found


def _means(wish: Wish, asked: str, row: dict[str, str]) -> bool:
    match wish.method:
        case "file" | "sha256":
            return row["sample_id"] == asked
        case "url":
            return any(_is_one_address(wish.value, row[name]) for name in ("source_id", "attribution"))
        case "creator" | "source":
            return row[wish.method] == wish.value


def _is_one_address(asked: str, told: str) -> bool:
    try:
        return asked == told or digest("", asked) == digest("", told)
    except ValueError:  # a row may say `http://[`
        return False


def _near(root: Path, wish: Wish, exact: list[str]) -> list[Match]:
    """Images of the catalogue whose perceptual hash is within the distance of an exact match's, nearest first."""
    file = root / CATALOGUE
    if not file.is_file():
        raise TakedownError(f"--near: {CATALOGUE} is not there to compare with; run `easel run --until ingest` first")
    known = pq.read_table(file, columns=["sample_id", "phash", "source_id", "source", "creator", "title_en"])
    hashes = known.column("phash").to_numpy()
    place = {name: row for row, name in enumerate(known.column("sample_id").to_pylist())}
    asked = [hashes[place[one]] for one in exact if one in place]
    if not asked and wish.method == "file":
        asked = _hash_of(root, Path(wish.value))
    if not asked:
        if wish.method == "sha256":
            raise TakedownError("--near: nobody here has seen that image; give its file, so that it can be compared")
        return []
    distance = np.full(len(hashes), 64)
    for one in asked:
        distance = np.minimum(distance, np.bitwise_count(hashes ^ one))
    rows = np.flatnonzero(distance <= (wish.near or 0))
    found = [
        replace(Match(**known.slice(int(row), 1).drop_columns("phash").to_pylist()[0], method="near")) for row in rows
    ]
    found = [replace(one, distance=int(distance[row])) for one, row in zip(found, rows, strict=True)]
    return sorted(found, key=lambda one: (one.distance, one.sample_id))


def _hash_of(root: Path, file: Path) -> list[Any]:
    """The perceptual hash of an image that the catalogue does not have; empty if it cannot be decoded."""
    from components.data.intake import inspect_images

    facts = inspect_images([file.read_bytes()], [None], limits_of(root), with_repetition=False)
    if facts.column("reason")[0].as_py():
        raise TakedownError(f"{file}: not an image that can be compared ({facts.column('reason')[0].as_py()})")
    return list(facts.column("phash").to_numpy())
