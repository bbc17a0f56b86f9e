"""Pictures to land, and what a pool holds afterwards."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from components.data.landing_ledger import read_refusals
from components.data.records import raw_parts


def picture(seed: int, side: int = 8) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def rows_of(pool: Path) -> list[dict[str, Any]]:
    return [row for part in raw_parts(pool) for row in pq.read_table(part).to_pylist()]


def landed(pool: Path) -> dict[str, bytes]:
    rows = [(row["source_id"], bytes(row["image"])) for row in rows_of(pool)]
    assert len(rows) == len(dict(rows))
    return dict(rows)


def reasons(pool: Path) -> dict[str, str]:
    return {row["name"]: row["reason"] for row in read_refusals(pool).to_pylist()}


def files(pool: Path) -> dict[str, bytes]:
    return {str(file.relative_to(pool)): file.read_bytes() for file in sorted(pool.rglob("*")) if file.is_file()}


def member(tar: tarfile.TarFile, name: str, data: bytes = b"", **fields: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))
