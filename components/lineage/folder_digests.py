"""SHA-256 of a file, or of every file of a folder, read in a few threads (hashlib lets go of the interpreter)."""

import hashlib
import os
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from components.lineage.canonical import digest

THREADS = 2
CHUNK_BYTES = 1 << 18

Told = Callable[[int], None]
"""Told of the bytes that were read since it was last told."""


class FolderError(ValueError):
    """A folder whose digest would say nothing; one line says why."""


def file_digest(file: Path, tell: Told | None = None) -> str:
    """SHA-256 of the file's bytes, in hex; `tell` hears of every chunk, from the thread that reads it."""
    found = hashlib.sha256()
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    with file.open("rb", buffering=0) as stream:
        while size := stream.readinto(buffer):
            found.update(view[:size])
            if tell:
                tell(size)
    return found.hexdigest()


def folder_files(folder: Path, ignored: Collection[str] = ()) -> list[str]:
    """Relative paths of the files below `folder`, in the order of their parts; all but what lies at or below `ignored`.

    Raises:
        FolderError: there is no such folder, or a symbolic link lies in it, whose bytes lie elsewhere.
    """
    if not folder.is_dir():
        raise FolderError(f"{folder}: no such folder")
    found, left_out = list[PurePosixPath](), [PurePosixPath(one) for one in ignored]
    for place, names, files in os.walk(folder):
        for name in (*names, *files):
            full = Path(place, name)
            path = PurePosixPath(full.relative_to(folder).as_posix())
            if any(path.is_relative_to(one) for one in left_out):
                continue
            if full.is_symlink():
                raise FolderError(f"{full}: a symbolic link, whose bytes lie elsewhere; put the file itself there")
            if name in files:
                if not full.is_file():
                    raise FolderError(f"{full}: neither a file nor a folder; take it away")
                found.append(path)
    return [str(path) for path in sorted(found)]


def folder_digests(folder: Path, ignored: Collection[str] = (), tell: Told | None = None) -> dict[str, str]:
    """SHA-256 of every file below `folder` by its relative path, in the order of `folder_files`."""
    names = folder_files(folder, ignored)
    by_size = sorted(names, key=lambda name: -(folder / name).stat().st_size)  # the largest first: threads end together
    with ThreadPoolExecutor(THREADS) as threads:
        found = dict(zip(by_size, threads.map(lambda name: file_digest(folder / name, tell), by_size), strict=True))
    return {name: found[name] for name in names}


def tree_digest(files: Mapping[str, str]) -> str:
    """One digest for a folder, as records give it: of the canonical JSON `{relative path: SHA-256}`."""
    return digest(dict(files))


def path_digest(path: Path, tell: Told | None = None) -> str:
    """The digest of a file or of a whole folder, as records give it."""
    return tree_digest(folder_digests(path, tell=tell)) if path.is_dir() else file_digest(path, tell)
