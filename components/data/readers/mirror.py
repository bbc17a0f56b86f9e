"""A copy on this machine of files that lie in a bucket, fetched file by file.

What was fetched stays, what was begun goes on where it stopped, and what changed in the bucket is fetched again. Every
read asks for the version that was listed, so no file is put together from two. Where a file `SHA256SUMS` lies among
them (as `sha256sum * > SHA256SUMS` writes it), what came is held against it before it counts.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from components.data.errors import DataError
from components.data.readers import open_store
from components.data.readers.interface import RefusedError
from components.data.readers.stores import Store, Stored

DIGESTS = "SHA256SUMS"
_VERSIONS, _PARTIAL, _LOCK = ".versions.json", ".partial", ".lock"
_PIECE_BYTES = 8 << 20


def mirrored(place: str, cache: Path, max_bytes: int) -> Path:
    """The folder below `cache` that holds exactly the files of `place` (s3://BUCKET/PREFIX or a folder), as listed now.

    Other processes of this machine that ask for the same wait. DataError if there are no files or more than `max_bytes`
    of them, one cannot be read, or differs from its digest; asking again continues.
    """
    store = open_store(place)
    listed = list(store.listing())
    _check(place, listed, max_bytes)
    folder = cache / hashlib.sha256(place.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / _LOCK):
        versions = _read_versions(folder)
        _drop_others(folder, {stored.key for stored in listed})
        digests = dict[str, str]()
        for stored in sorted(listed, key=lambda stored: (stored.key != DIGESTS, stored.key)):
            file = folder / stored.key
            if versions.get(stored.key) != stored.fingerprint or not file.is_file():
                _fetch(place, store, stored, folder / _PARTIAL, file, digests.get(stored.key))
                versions[stored.key] = stored.fingerprint
                _write_versions(folder, versions)
            if stored.key == DIGESTS:
                digests = _read_digests(place, file)
        shutil.rmtree(folder / _PARTIAL, ignore_errors=True)  # of versions that are no more
    return folder


def _check(place: str, listed: Sequence[Stored], max_bytes: int) -> None:
    if not listed:
        raise DataError(f"{place}: holds no files; check the name")
    for stored in listed:
        if stored.fault or not set(stored.key.split("/")).isdisjoint({"", ".", ".."}):
            raise DataError(f"{place}: {stored.key!r} cannot be a file here ({stored.fault or 'its name'}); remove it")
    if (size := sum(stored.size for stored in listed)) > max_bytes:
        raise DataError(f"{place}: {size:,} bytes, at most {max_bytes:,} are allowed; name a smaller part of it")


def _fetch(place: str, store: Store, stored: Stored, partial: Path, file: Path, sha256: str | None) -> None:
    """One file into its place, from where an earlier try of the same version stopped."""
    partial.mkdir(exist_ok=True)
    begun = partial / hashlib.sha256(f"{stored.key}\n{stored.fingerprint}".encode()).hexdigest()
    try:
        with begun.open("ab") as out, store.opened(stored) as stream:
            stream.seek(out.tell())
            while piece := stream.read(_PIECE_BYTES):
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
    except RefusedError as error:
        told = error.refusal
        raise DataError(f"{place}: {stored.key}: {told.reason} ({told.detail}); run again to go on") from None
    if begun.stat().st_size != stored.size or sha256 not in (None, _sha256(begun)):
        begun.unlink()
        raise DataError(f"{place}: {stored.key} is not what {DIGESTS} or its size says; upload it anew and run again")
    file.parent.mkdir(parents=True, exist_ok=True)
    begun.replace(file)


def _drop_others(folder: Path, keys: set[str]) -> None:
    """Remove what is not there any more: a reader of the folder must not find files of an older state."""
    hidden = {_VERSIONS, _LOCK}
    for file in folder.rglob("*"):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and name not in keys | hidden and not name.startswith(f"{_PARTIAL}/"):
            file.unlink()


def _read_digests(place: str, file: Path) -> dict[str, str]:
    """The digest of each name in a file that sha256sum wrote."""
    lines = file.read_text(encoding="utf-8").splitlines()
    found = {line[66:]: line[:64] for line in lines if line}
    if any(len(digest) != 64 or not name for name, digest in found.items()):
        raise DataError(f"{place}: {DIGESTS} is not as sha256sum writes it; write it again")
    return found


def _read_versions(folder: Path) -> dict[str, str]:
    try:
        return json.loads((folder / _VERSIONS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write_versions(folder: Path, versions: dict[str, str]) -> None:
    temporary = folder / (_VERSIONS + ".new")
    temporary.write_text(json.dumps(versions, indent=1), encoding="utf-8")
    temporary.replace(folder / _VERSIONS)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _locked(file: Path) -> Generator[None]:
    with file.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
