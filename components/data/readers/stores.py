"""Where a source's files lie: a folder of this machine, or (in `s3`) a bucket. Readers see names, sizes and bytes."""

import os
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import IO, Protocol, runtime_checkable

from components.data.errors import DataError
from components.data.readers.interface import RefusedError, too_large


@dataclass(frozen=True)
class Stored:
    """A file: its name below the source, its bytes, what tells its version.

    `fault` says why it must not be opened; `at` is for the store, where it needs more than the key to find the file.
    """

    key: str
    size: int
    fingerprint: str
    fault: str = ""
    at: str = ""

    @property
    def folder(self) -> str:
        """The part of the key before its last name."""
        return self.key.rpartition("/")[0]

    @property
    def stem(self) -> str:
        """The key without its ending."""
        folder, slash, name = self.key.rpartition("/")
        return folder + slash + name.rpartition(".")[0]

    @property
    def ending(self) -> str:
        """The ending of the name in small letters, with its dot."""
        return os.path.splitext(self.key)[1].lower()  # noqa: PTH122 - a key of a bucket is no path


@runtime_checkable  # the tests check types at run time
class Store(Protocol):
    """Files by name. A file that is not what was listed any more is a RefusedError with status `failed`."""

    def listing(self) -> Iterator[Stored]:
        """Every file whose name does not begin with a dot, by name; DataError if there is no such place."""
        ...

    def read(self, stored: Stored, max_bytes: int) -> bytes:
        """The whole file, unless it is larger than `max_bytes`."""
        ...

    def opened(self, stored: Stored) -> AbstractContextManager[IO[bytes]]:
        """The file for reading and seeking."""
        ...


class LocalStore:
    """The files below a folder, or one file. Links are listed as faults and never followed."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def listing(self) -> Iterator[Stored]:
        """Every file, in the order of the names."""
        if self._place.is_file():
            stat = self._place.stat()
            yield Stored(self._place.name, stat.st_size, _fingerprint(stat))
        elif self._place.is_dir():
            yield from sorted(self._walk(""), key=lambda stored: stored.key)
        else:
            raise DataError(f"{self._place}: no such file or folder; give an existing one, or s3://BUCKET/PREFIX")

    def read(self, stored: Stored, max_bytes: int) -> bytes:
        """The whole file."""
        if stored.size > max_bytes:
            raise too_large(stored.key, stored.size, max_bytes)
        with self.opened(stored) as stream:
            return stream.read(max_bytes)

    @contextmanager
    def opened(self, stored: Stored) -> Generator[IO[bytes]]:
        """The file; RefusedError if it was changed before or meanwhile, or cannot be read."""
        path = self._place if self._place.is_file() else self._place / stored.key
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            raise RefusedError(stored.key, "vanished", "listed, but no longer there", "failed") from None
        except OSError as error:
            raise RefusedError(stored.key, "not_readable", error.strerror or "", "failed") from None
        with os.fdopen(handle, "rb") as stream:
            _check_unchanged(stored, os.fstat(handle))
            yield stream
            _check_unchanged(stored, os.fstat(handle))

    def _walk(self, folder: str) -> Iterator[Stored]:
        try:
            entries = list(os.scandir(self._place / folder))
        except PermissionError:
            yield Stored(folder or ".", 0, "", fault="not_readable")
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            key = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(key)
                continue
            stat = entry.stat(follow_symlinks=False)
            fault = "" if S_ISREG(stat.st_mode) else "link" if entry.is_symlink() else "not_a_file"
            yield Stored(key, stat.st_size, _fingerprint(stat), fault)


def _fingerprint(stat: os.stat_result) -> str:
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _check_unchanged(stored: Stored, stat: os.stat_result) -> None:
    if _fingerprint(stat) != stored.fingerprint:
        raise RefusedError(stored.key, "changed_midway", "not the file that was listed any more", "failed")
