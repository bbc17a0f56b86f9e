"""WebDataset: tar shards in which the files of one sample share a name: the image as received, .json and .txt.

Times, owners and modes are fixed: equal samples are equal tars. Samples lie in the catalogue's order; readers shuffle.
"""

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

from components.data.exports.samples import Batch, image_name


def write_shards(folder: Path, batches: Iterable[Batch]) -> list[Path]:
    """One `shard-NNNNNN.tar` for each batch, in order."""
    return [_write_shard(folder / f"shard-{number:06d}.tar", batch) for number, batch in enumerate(batches)]


def _write_shard(file: Path, batch: Batch) -> Path:
    with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as tar:
        for row, image in zip(batch.rows.to_pylist(), batch.images, strict=True):
            _add(tar, image_name(row), image)
            _add(tar, f"{row['sample_id']}.json", json.dumps(row, ensure_ascii=False, sort_keys=True).encode())
            _add(tar, f"{row['sample_id']}.txt", row["text"].encode())
    return file


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # mtime 0, owner 0, mode 0644
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
