"""SHA-256 of the files that stages read and write, each read once for as long as it is the same file.

DVC's own hash is no key for that: it is MD5, for which two files of one hash can be made on purpose, and DVC restores a
damaged object under the hash that it once had. So what is kept is kept by the file itself, as git and DVC's own state
do: its size, inode and times of change. A time of change (ctime) is set by the system at every write and every
replacement, and no program may choose it. A file that changed in the moment before it was read is read again the next
time, since the next change could fall into the same tick of the clock.
"""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from components.lineage.canonical import digest
from components.registry.hashes import file_sha256
from flows import settings
from flows.reports import write_durably

SETTLED_NS = 50_000_000
"""A file is taken as settled if it was last changed so long before it was read."""


@dataclass(frozen=True)
class Content:
    """What lies at a path: the digest of its bytes, how many they are, and in how many files.

    Of a folder the digest is that of the canonical JSON `{relative path: SHA-256}`; `files` holds that mapping, for a
    file it is empty.
    """

    sha256: str
    size: int
    count: int
    files: Mapping[str, str]


class FileDigests:
    """The digests of a workspace's files; what was read before comes from `digests.json` in its state folder."""

    def __init__(self, root: Path) -> None:
        self._root, self._file = root, settings.home(root) / "digests.json"
        self._known: dict[str, list[int | str]] = {}
        self._is_changed = False
        with suppress(OSError, ValueError):
            self._known = json.loads(self._file.read_text(encoding="utf-8"))

    def of(self, path: str) -> Content:
        """What lies at `path` (relative to the workspace) now.

        Raises:
            ValueError: nothing lies there, or a symbolic link lies in a folder.
        """
        place = self._root / path
        if not place.is_dir():
            sha256, size = self._of_file(place)
            return Content(sha256, size, 1, {})
        found = dict[str, tuple[str, int]]()
        for file in sorted(place.rglob("*")):
            if file.is_symlink():
                raise ValueError(f"{file}: a symbolic link, whose bytes lie elsewhere; put the file itself there")
            if file.is_file():
                found[file.relative_to(place).as_posix()] = self._of_file(file)
        hashes = {name: sha256 for name, (sha256, _) in found.items()}
        return Content(digest(hashes), sum(size for _, size in found.values()), len(found), hashes)

    def save(self) -> None:
        """Keep what was read, for the next process; no harm where that cannot be written."""
        if self._is_changed:
            there = {path: known for path, known in self._known.items() if (self._root / path).is_file()}
            with suppress(OSError):
                write_durably(self._file, json.dumps(there))
            self._is_changed = False

    def _of_file(self, file: Path) -> tuple[str, int]:
        try:
            stat = file.stat()
        except OSError:
            raise ValueError(f"{file}: not there; run the stage that makes it again") from None
        name = file.relative_to(self._root).as_posix()
        seen: list[int | str] = [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]
        known = self._known.get(name)
        if known and known[:-1] == seen:
            return str(known[-1]), stat.st_size
        started = time.time_ns()
        sha256 = file_sha256(file)
        if started - max(stat.st_ctime_ns, stat.st_mtime_ns) > SETTLED_NS and _is_same(file, stat):
            self._known[name], self._is_changed = [*seen, sha256], True
        return sha256, stat.st_size


def _is_same(file: Path, before: os.stat_result) -> bool:
    now = file.stat()
    return (now.st_size, now.st_ctime_ns) == (before.st_size, before.st_ctime_ns)
