"""SHA-256 of every file of a directory and one digest for all of them, over canonical JSON (RFC 8785)."""

import hashlib
import json
from pathlib import Path
from typing import Any

import rfc8785

HASHES_FILE = "hashes.json"


def canonical_json(value: Any) -> bytes:
    """The one byte string that RFC 8785 gives `value`: keys sorted, no spaces, numbers in their shortest form."""
    return rfc8785.dumps(value)


def file_sha256(path: Path) -> str:
    """SHA-256 of the file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def directory_sha256(directory: Path) -> dict[str, str]:
    """SHA-256 of each file below `directory` by its relative POSIX path.

    Raises:
        ValueError: for a symbolic link, which would make the digest depend on files outside the directory.
    """
    hashes: dict[str, str] = {}
    for path in sorted(directory.rglob("*")):
        if path.is_symlink():
            raise ValueError(f"{path} is a symbolic link; a model directory must hold its own files")
        if path.is_file():
            hashes[path.relative_to(directory).as_posix()] = file_sha256(path)
    return hashes


def root_digest(hashes: dict[str, str]) -> str:
    """One SHA-256 for a whole directory: of the canonical JSON of its files' hashes."""
    return hashlib.sha256(canonical_json(hashes)).hexdigest()


def path_sha256(path: Path) -> str:
    """The digest of a file or of a whole directory."""
    return root_digest(directory_sha256(path)) if path.is_dir() else file_sha256(path)


def write_hashes(directory: Path) -> str:
    """Write `hashes.json` beside the files it names and return their root digest: the identity of the model."""
    hashes = directory_sha256(directory)
    hashes.pop(HASHES_FILE, None)
    (directory / HASHES_FILE).write_bytes(canonical_json(hashes))
    return root_digest(hashes)


def verified_digest(directory: Path) -> str:
    """The root digest of a directory whose every file still has the bytes that `hashes.json` names.

    Raises:
        ValueError: if the list is missing, or naming the first file that was changed, added or removed.
    """
    if not (directory / HASHES_FILE).is_file():
        raise ValueError(f"{directory} is not an exported model: {HASHES_FILE} is missing; `easel run` makes one")
    expected: dict[str, str] = json.loads((directory / HASHES_FILE).read_text(encoding="utf-8"))
    found = directory_sha256(directory)
    found.pop(HASHES_FILE)
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(f"{directory / name} is not the file that was exported; export the model again")
    return root_digest(expected)


def stated_digest(directory: Path) -> str:
    """The root digest that the directory's own list gives, its files unread; "" where there is no list."""
    file = directory / HASHES_FILE
    return root_digest(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else ""
