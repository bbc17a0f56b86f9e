"""The files of a checkpoint: on disk for certain, named in a manifest with their SHA-256, verified before use."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

MANIFEST = "manifest.json"
HASHING_THREADS = 8
NUM_SHOWN = 4


class CheckpointError(ValueError):
    """A checkpoint could not be written, or is not whole; the message says which file of it, and why."""


class CheckpointMismatchError(ValueError):
    """A checkpoint was made by another run: other parameters, data or code; the differing fields are named."""


def write_flushed(file: Path, text: str) -> None:
    """Write `file` whole or not at all, and be sure that it is on disk."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)
    flush(file.parent)


def flush(path: Path) -> None:
    """Return when the file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_names(folder: Path) -> set[str]:
    """The files at or below `folder`, by relative POSIX path."""
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def flushed_digests(folder: Path, names: Iterable[str]) -> dict[str, list[Any]]:
    """SHA-256 and size of each of `names` in `folder`, which are then on disk."""

    def digest(name: str) -> tuple[str, list[Any]]:
        flush(folder / name)
        return name, [_file_sha256(folder / name), (folder / name).stat().st_size]

    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        return dict(pool.map(digest, sorted(names)))


def _file_sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _text_sha256(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, allow_nan=False).encode()).hexdigest()


def write_manifest(folder: Path, body: Mapping[str, Any]) -> None:
    """Write the manifest of a checkpoint, with a digest of its own, and flush every folder."""
    write_flushed(folder / MANIFEST, json.dumps({"sha256": _text_sha256(body), "manifest": body}, indent=1))
    for subfolder in [*filter(Path.is_dir, folder.rglob("*")), folder]:
        flush(subfolder)


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `write_manifest` wrote; CheckpointError if it is missing, torn or altered."""
    file = folder / MANIFEST
    if not file.exists():
        raise CheckpointError(f"{file} is missing")
    try:
        signed = json.loads(file.read_text(encoding="utf-8"))
        body, stated = signed["manifest"], signed["sha256"]
        is_whole = stated == _text_sha256(body)
    except (ValueError, KeyError, TypeError):
        is_whole, body = False, {}
    if not is_whole:
        raise CheckpointError(f"{file} is torn or was altered")
    return body


def verify(folder: Path, files: Mapping[str, Any]) -> None:
    """Read every byte; raise CheckpointError at the first file that is missing, unknown, or not what was written."""
    found = file_names(folder) - {MANIFEST}
    for name in sorted(found ^ files.keys()):
        raise CheckpointError(f"{folder / name} {'is not in its manifest' if name in found else 'is missing'}")
    for name, (_, num_bytes) in files.items():
        if (size := (folder / name).stat().st_size) != num_bytes:
            raise CheckpointError(f"{folder / name} has {size} bytes, its manifest says {num_bytes}")
    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        for name, sha256 in zip(files, pool.map(lambda name: _file_sha256(folder / name), files), strict=True):
            if sha256 != files[name][0]:
                raise CheckpointError(f"{folder / name} was altered: its SHA-256 is not the one in its manifest")


def differing_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The fields in which two nested mappings differ, by dotted path with both values; "" if they are equal."""
    before, now = _flat(old), _flat(new)
    names = [name for name in dict.fromkeys([*now, *before]) if before.get(name) != now.get(name)]
    shown = [f"{name} was {_short(before, name)}, is {_short(now, name)}" for name in names[:NUM_SHOWN]]
    return "; ".join(shown + [f"and {len(names) - NUM_SHOWN} more"] * (len(names) > NUM_SHOWN))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Leaf values as JSON, by dotted path."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(cast(Mapping[str, Any], value), f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.dumps(value)
    return flat


def _short(flat: Mapping[str, str], name: str) -> str:
    text = flat.get(name, "absent")
    return text if len(text) <= 40 else f"{text[:37]}..."
