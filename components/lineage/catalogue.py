"""Every sample id that any record names, with a small number for each: 36 bytes a sample, found by halving.

One file: a mark and the count (16 bytes), the digests of 32 bytes in ascending order, and for each its number (4 bytes,
little-endian). Numbers count up in the order in which sets first name their samples, and within a set in the order of
the digests; so they depend on the log alone, and a set that was received at once is one run of them. The file is never
changed: a catalogue with more samples is another file.

It is read through a memory map: a search touches some twenty places of it, however large it is.
"""

import mmap
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from components.lineage.manifest import WIDTH

MARK = b"EASELCAT"
_HEAD_BYTES = 16
_DIGEST = f"S{WIDTH}"
_ROW = np.dtype("<u4")
# Samples are joined by the first byte of their digests, so that a part of the catalogue is in memory, not the whole.
_PARTS = 256
Array = np.ndarray[Any, Any]


class CatalogueError(ValueError):
    """A file that is no catalogue, or is cut off."""


class Catalogue:
    """The samples of one file.

    Raises:
        CatalogueError: it is no catalogue, or not as long as it says.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            with file.open("rb") as stream:
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise CatalogueError(f"{file}: {error}") from None
        count = int.from_bytes(self._map[8:_HEAD_BYTES], "little")
        size = _HEAD_BYTES + count * (WIDTH + _ROW.itemsize)
        if self._map[:8] != MARK or len(self._map) != size:
            raise CatalogueError(f"{file}: no catalogue of samples, or cut off")
        self.digests: Array = np.frombuffer(self._map, _DIGEST, count, _HEAD_BYTES)
        self.rows: Array = np.frombuffer(self._map, _ROW, count, _HEAD_BYTES + WIDTH * count)

    def __len__(self) -> int:
        return len(self.rows)

    def row_of(self, sample_id: str) -> int | None:
        """The sample's number; None if no record names it."""
        wanted = bytes.fromhex(sample_id)
        place = bisect_left(range(len(self)), wanted, key=self._digest)
        return int(self.rows[place]) if place < len(self) and self._digest(place) == wanted else None

    def _digest(self, place: int) -> bytes:
        start = _HEAD_BYTES + WIDTH * place
        return self._map[start : start + WIDTH]


def extend(old: Catalogue | None, packed: bytes, file: Path) -> Array:
    """Write the catalogue `old` and the samples of the packed set to `file`, and return the numbers of the set's.

    Nothing is written if `old` has all of them. `file` is whole only when this returns; name it as such afterwards.
    """
    known = len(old) if old else 0
    digests = np.frombuffer(packed, _DIGEST)
    rows = np.empty(len(digests), _ROW)
    num_new = 0
    for part in _parts(old, digests):
        is_new = ~_found(old, digests, part, rows)
        fresh = part.new_start + np.flatnonzero(is_new)
        rows[fresh] = known + num_new + np.arange(len(fresh), dtype=_ROW)
        num_new += len(fresh)
    if num_new or old is None:
        with file.open("wb") as stream:
            stream.write(MARK + (known + num_new).to_bytes(8, "little"))
            _write(stream, old, digests, rows, known)
    return rows


class _Part:
    """The places in both lists of the digests that begin with one byte."""

    def __init__(self, old: tuple[int, int], new: tuple[int, int]) -> None:
        self.old_start, self.old_stop = old
        self.new_start, self.new_stop = new


def _parts(old: Catalogue | None, digests: Array) -> Iterator[_Part]:
    firsts = np.array([bytes([byte]) for byte in range(_PARTS)], _DIGEST)
    none = np.zeros(_PARTS, np.int64)
    bounds = [np.searchsorted(old.digests, firsts) if old else none, np.searchsorted(digests, firsts)]
    ends = [*(len(old) if old else 0, len(digests))]
    starts = [[*bound.tolist(), end] for bound, end in zip(bounds, ends, strict=True)]
    for byte in range(_PARTS):
        yield _Part((starts[0][byte], starts[0][byte + 1]), (starts[1][byte], starts[1][byte + 1]))


def _found(old: Catalogue | None, digests: Array, part: _Part, rows: Array) -> Array:
    """Which of the part's new digests the catalogue has; their numbers go to `rows`."""
    new = digests[part.new_start : part.new_stop]
    if old is None or part.old_start == part.old_stop:
        return np.zeros(len(new), bool)
    had = old.digests[part.old_start : part.old_stop]
    places = np.minimum(np.searchsorted(had, new), len(had) - 1)
    is_known = had[places] == new
    rows[part.new_start : part.new_stop][is_known] = old.rows[part.old_start : part.old_stop][places[is_known]]
    return is_known


def _write(stream: BinaryIO, old: Catalogue | None, digests: Array, rows: Array, known: int) -> None:
    """Both lists as one: digests part by part, then their numbers, which are held meanwhile."""
    numbers = list[Array]()
    for part in _parts(old, digests):
        mine = slice(part.new_start, part.new_stop)
        is_new = rows[mine] >= known
        new, new_rows = digests[mine][is_new], rows[mine][is_new]
        if old is not None:
            had = old.digests[part.old_start : part.old_stop]
            places = np.searchsorted(had, new)
            new = np.insert(had, places, new)
            new_rows = np.insert(old.rows[part.old_start : part.old_stop], places, new_rows)
        stream.write(np.ascontiguousarray(new).data)
        numbers.append(new_rows)
    for part_rows in numbers:
        stream.write(np.ascontiguousarray(part_rows).data)
