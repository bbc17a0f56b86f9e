"""Finished parts of a stage's work, kept by what they were made from, so that nothing is computed twice.

A stage that works part by part asks the store for each part under a key: everything that the part depends on besides
code. A killed stage, or one that runs again on a larger pool, finds its finished parts there and makes only the rest.
The store is never a source: delete it and the same tables come back. Entries are written whole or not at all, carry the
SHA-256 of their bytes in their name, and are checked when read; a damaged one is thrown away and made again.
"""

import hashlib
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rfc8785
from numpy.typing import NDArray
from safetensors.numpy import load, save

Key = Mapping[str, Any]


class PartStore:
    """Tables and arrays by key; outside a stage run, with no folder, everything is simply made.

    `code` is a digest of the code that makes the parts: other code never sees them.
    """

    def __init__(self, folder: Path | None = None, code: str = "") -> None:
        self._folder, self._code = folder, code
        self.num_found = self.num_made = 0

    def table(self, key: Key, make: Callable[[], pa.Table]) -> pa.Table:
        """The table kept under `key`, else `make()`, kept from now on. `key` holds plain JSON values only."""
        return pq.read_table(pa.BufferReader(self._bytes(key, ".parquet", lambda: _table_bytes(make()))))

    def arrays(self, key: Key, make: Callable[[], Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        """The named arrays kept under `key`, else `make()`, kept from now on."""
        return load(self._bytes(key, ".safetensors", lambda: save(_contiguous(make()))))

    def of_version(self, code: str) -> "PartStore":
        """The same store for parts that hang on no code but `code`: answers that were paid for, not computed."""
        return PartStore(self._folder, code)

    def _bytes(self, key: Key, ending: str, make: Callable[[], bytes]) -> bytes:
        digest = hashlib.sha256(rfc8785.dumps({"code": self._code, "key": dict(key)})).hexdigest()
        found = self._read(digest, ending)
        if found is not None:
            self.num_found += 1
            return found
        made = make()
        self.num_made += 1
        self._write(digest, ending, made)
        return made

    def _read(self, digest: str, ending: str) -> bytes | None:
        if self._folder is None:
            return None
        for file in (self._folder / digest[:2]).glob(f"{digest}.*{ending}"):
            data = file.read_bytes()
            if file.name == _entry_name(digest, data, ending):
                os.utime(file)  # what was used last is pruned last
                return data
            file.unlink(missing_ok=True)
        return None

    def _write(self, digest: str, ending: str, data: bytes) -> None:
        if self._folder is None:
            return
        final = self._folder / digest[:2] / _entry_name(digest, data, ending)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = final.with_name(f".{final.name}.{os.getpid()}")
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(final)


def prune(folder: Path, max_bytes: int) -> int:
    """Delete what was used longest ago until at most `max_bytes` are left; returns the bytes freed."""
    files = sorted(((file.stat(), file) for file in folder.glob("*/*") if file.is_file()), key=lambda f: f[0].st_mtime)
    excess = sum(stat.st_size for stat, _ in files) - max_bytes
    freed = 0
    for stat, file in files:
        if freed >= excess:
            break
        file.unlink(missing_ok=True)
        freed += stat.st_size
    return freed


_current: list[PartStore] = []


def current_store() -> PartStore:
    """The store of the running stage, else one that keeps nothing."""
    return _current[-1] if _current else PartStore()


@contextmanager
def open_store(folder: Path, code: str) -> Generator[PartStore]:
    """A store in `folder` that is `current_store()` inside the block."""
    _current.append(store := PartStore(folder, code))
    try:
        yield store
    finally:
        _current.pop()


def _entry_name(digest: str, data: bytes, ending: str) -> str:
    return f"{digest}.{hashlib.sha256(data).hexdigest()}{ending}"


def _table_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def _contiguous(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}
