"""Files of pairs as their publishers lay them out, with images made here."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from components.data.config import DecodeLimits

LIMITS = DecodeLimits(max_pixels=10_000, max_bytes=100_000, max_ratio=100.0)


def picture(seed: int, width: int = 12, height: int = 9, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def pickapic_row(caption: str, first: int, second: int, label: float | None, **other: Any) -> dict[str, Any]:
    """A row of Pick-a-Pic v2 (its addresses and times left out): `label` is that of the first image."""
    return {
        "are_different": True,
        "best_image_uid": f"uid-{first if label == 1 else second if label == 0 else 'tie'}",
        "caption": caption,
        "has_label": label is not None,
        "image_0_uid": f"uid-{first}",
        "image_1_uid": f"uid-{second}",
        "jpg_0": picture(first, kind="JPEG"),
        "jpg_1": picture(second, kind="JPEG"),
        "label_0": label,
        "label_1": None if label is None else 1 - label,
        "ranking_id": first,
        "user_id": 7,
    } | other


def write_parquet(file: Path, rows: Sequence[Mapping[str, Any]], row_group_size: int = 2) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), file, row_group_size=row_group_size)
    return file


def write_hpd(folder: Path, split: str, entries: Sequence[Mapping[str, Any]]) -> Path:
    """`split`.json beside the folder `split` with the images, whose numbers are their names."""
    (folder / split).mkdir(parents=True)
    for name in {name for entry in entries for name in entry["image_path"]}:
        (folder / split / name).write_bytes(picture(int(name.split(".")[0]), kind="JPEG"))
    file = folder / f"{split}.json"
    file.write_text(json.dumps(list(entries)))
    return file


def write_lines(file: Path, rows: Sequence[Mapping[str, Any]], images: Mapping[str, bytes]) -> Path:
    for name, data in images.items():
        (file.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (file.parent / name).write_bytes(data)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file
