"""A folder of images that grows: each is written once, in shards, under the SHA-256 of its bytes."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.data.image_shards import ImageShards
from components.data.records import IMAGES, PLACE, part_file, write_table

SHARD_IMAGES = 512
_PLACES = pa.schema([("sample_id", pa.string()), *PLACE])


class Album:
    """Takes images one by one and keeps at most a shard of them in memory."""

    def __init__(self, directory: Path, shard_images: int = SHARD_IMAGES) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory, self._shard_images = directory, shard_images
        self._places: dict[str, dict[str, Any]] = {}
        self._waiting: list[dict[str, Any]] = []
        self._num_shards = 0

    def add(self, data: bytes) -> tuple[str, bool]:
        """The image's `sample_id`, and whether it is new here."""
        name = hashlib.sha256(data).hexdigest()
        if name in self._places:
            return name, False
        self._places[name] = {"sample_id": name, "shard": self._num_shards, "row": len(self._waiting)}
        self._waiting.append({"sample_id": name, "bytes": data})
        if len(self._waiting) == self._shard_images:
            self._flush()
        return name, True

    def close(self) -> ImageShards:
        """Write what waits, and read what was written."""
        self._flush()
        return ImageShards(self._directory, pa.Table.from_pylist(list(self._places.values()), schema=_PLACES))

    def _flush(self) -> None:
        if self._waiting or not self._num_shards:
            table = pa.Table.from_pylist(self._waiting, schema=IMAGES)
            write_table(table, part_file(self._directory, self._num_shards))
            self._num_shards += 1
            self._waiting = []
