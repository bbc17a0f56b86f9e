"""Where the ledger's bytes lie: a flat place of names and values in which nothing is ever replaced.

`create` is the one way to write. It is atomic (a name is whole or absent, also after a kill), durable (it returns when
the disk has it) and exclusive (of two writers of one name, one is told so): on these three the log stands.
"""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from components.lineage.errors import LedgerError

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")

_BATCH = 256
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})


class Store(Protocol):
    """A place of values by name (`records/ab12....json`); a value never changes once it is created."""

    def read(self, name: str) -> bytes | None:
        """The value; None if there is none."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Keep a new value; False if the name is taken already, and nothing is replaced."""
        ...

    def names(self, prefix: str) -> list[str]:
        """All names that begin so, sorted."""
        ...


def read_many(store: Store, names: Sequence[str]) -> Iterator[bytes | None]:
    """The values of those names in their order, several at once where the store says that it serves so many."""
    at_once = int(getattr(store, "reads_at_once", 1))
    if at_once == 1:
        yield from map(store.read, names)
        return
    with ThreadPoolExecutor(at_once) as pool:
        for start in range(0, len(names), _BATCH):
            yield from pool.map(store.read, names[start : start + _BATCH])


def checked_name(name: str) -> str:
    """`name`, if it can be one: letters, digits, `._-`, parts joined by `/`, none of which begins with a dot.

    Raises:
        LedgerError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise LedgerError(f"{name!r} is no name in a ledger; use letters, digits, `._-` and `/`, no leading dot")
    return name


class FolderStore:
    """A local folder, or one on a file system with hard links: a value is one file.

    A value is written beside its place, synced, and linked to its name, which fails if the name exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def read(self, name: str) -> bytes | None:
        """The file's bytes; None if there is no such file.

        Raises:
            LedgerError: a pipe or device lies there, which would be read for ever.
        """
        place = self._folder / checked_name(name)
        try:
            with open(place, "rb", opener=_open_at_once) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise LedgerError(f"{place}: no plain file, and no part of a ledger; take it away")
                return file.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def create(self, name: str, data: bytes) -> bool:
        """Write a new file and sync it and its folder; False if it exists, when its name is on the disk too."""
        target = self._folder / checked_name(name)
        if target.exists():
            _sync(target.parent)  # who made it may have been killed before
            return False
        self._make_folder(target.parent)
        return create_file(target, data, mode=0o644)

    def names(self, prefix: str) -> list[str]:
        """The files whose names begin so; what a killed writer left half-written has no name.

        Raises:
            LedgerError: a folder cannot be listed: without it, a ledger would seem shorter, or empty.
        """
        top = self._folder / prefix.rpartition("/")[0]
        found = list[str]()
        for folder, folders, files in os.walk(top, onerror=_refuse_unless_absent):
            folders[:] = [one for one in folders if not one.startswith(".")]
            below = Path(folder).relative_to(self._folder)
            found += [(below / one).as_posix() for one in files if not one.startswith(".")]
        return sorted(one for one in found if one.startswith(prefix))

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        if folder != self._folder:
            self._make_folder(folder.parent)
        folder.mkdir(parents=True, exist_ok=True)
        _sync(folder.parent)


def create_file(target: Path, data: bytes, *, mode: int) -> bool:
    """Write a file that is whole as soon as its name exists, and on the disk; False if the name exists already."""
    beside = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.link(beside, target)
    except FileExistsError:
        _sync(target.parent)
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise LedgerError(f"{target.parent}: no hard links there ({error.strerror}); use another file system") from None
    finally:
        beside.unlink()
    _sync(target.parent)
    return True


def _open_at_once(file: str, flags: int) -> int:
    """Without O_NONBLOCK opening a pipe waits for who writes to it."""
    return os.open(file, flags | os.O_NONBLOCK)


def _refuse_unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise LedgerError(f"{error.filename}: cannot be listed: {error.strerror}") from None


def _sync(folder: Path) -> None:
    """Bring the folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
