"""What every source answers to: it lists items, and gives each item's samples, or says why there are none.

An item is what a source hands out at once: an image file, a tar shard, a Parquet file, a web address. Its fingerprint
changes when its content may have. What a reader says of an item depends on the item alone and comes in a fixed order,
so that a landing that was killed can count how far it came.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

_MAX_NAME_CHARACTERS = 500

Status = Literal["refused", "opted_out", "failed", "repeated"]
"""`failed` may pass (a host that did not answer): the next landing asks again. The others are final."""


@dataclass(frozen=True)
class ReadLimits:
    """What one image, its words, and one row group may cost before they are refused; `fetch_s` bounds a download.

    A host of the web is asked for at most `host_requests_per_s`, and `host_at_once` together.
    """

    max_image_bytes: int = 50_000_000
    max_text_bytes: int = 1_000_000
    max_row_group_bytes: int = 2_000_000_000
    max_redirects: int = 5
    fetch_s: float = 30.0
    host_requests_per_s: float = 10.0
    host_at_once: int = 4


@dataclass(frozen=True)
class Item:
    """Something a source lists: its key in the source, what tells its version, its bytes (0: unknown)."""

    key: str
    fingerprint: str
    size: int
    content: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Sample:
    """An image as received, where it came from, and the text columns of `records.RAW` that its source told."""

    source_id: str
    image: bytes
    words: Mapping[str, Any]


@dataclass(frozen=True)
class Refusal:
    """What was not taken, and why; `name` is the item or a member of it."""

    name: str
    reason: str
    detail: str = ""
    status: Status = "refused"


Outcome = Sample | Refusal


class RefusedError(Exception):
    """An item or a member cannot be taken; carries the refusal."""

    def __init__(self, name: str, reason: str, detail: str = "", status: Status = "refused") -> None:
        super().__init__(reason)
        self.refusal = Refusal(printable(name), reason, printable(detail), status)


@runtime_checkable  # the tests check types at run time
class Reader(Protocol):
    """A source of images."""

    @property
    def num_at_once(self) -> int:
        """How many items may be read in parallel; 1 for items that hold many samples, which stream."""
        ...

    def listing(self) -> Iterator[Item]:
        """Every item, in a fixed order."""
        ...

    def rows(self, item: Item) -> Iterator[Outcome]:
        """The samples of `item` and what was refused of it, in a fixed order; RefusedError ends it."""
        ...


def printable(text: str) -> str:
    """`text` as one line that can be written as UTF-8: what cannot (a lone surrogate, a line break) is escaped."""
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return line.encode("utf-8", "backslashreplace").decode()[:_MAX_NAME_CHARACTERS]


def checked_image(name: str, data: bytes, limits: ReadLimits) -> bytes:
    """`data`, unless it is empty, too large or an archive; whether it is an image is for `ingest` to find out."""
    if not data:
        raise RefusedError(name, "empty", "0 bytes")
    if len(data) > limits.max_image_bytes:
        raise too_large(name, len(data), limits.max_image_bytes)
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")):
        raise RefusedError(name, "archive_inside", "the bytes are an archive; unpack it into the source")
    return data


def checked_name(name: str) -> str:
    """`name`, unless it could not be written as UTF-8."""
    if printable(name) != name:
        raise RefusedError(name, "unsafe_name", "the name is not plain UTF-8 of at most 500 characters")
    return name


def too_large(name: str, num_bytes: int, allowed: int) -> RefusedError:
    """The refusal of something above a size limit."""
    return RefusedError(name, "too_large", f"{num_bytes} bytes; allowed: {allowed}")
