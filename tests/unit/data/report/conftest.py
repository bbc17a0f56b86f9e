"""A version of a data set with planted counts: twenty images in two categories, and something dropped at every gate."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from components.data import records
from components.data.config import DecodeLimits, ReportExamples
from components.data.report.tables import Tables

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)> {{ facts }} 苹果'
LIMITS = DecodeLimits(max_pixels=10**6, max_bytes=10**6, max_ratio=1e6)
SHOW = ReportExamples(per_reason=3, num_clusters=4, per_cluster=3, thumbnail_px=16)
NUM = 20


def sample_id(number: int) -> str:
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" * 4


def table(schema: pa.Schema, rows: list[dict[str, object]]) -> pa.Table:
    """Rows with an empty value in every column that they leave out."""

    def empty(field: pa.Field) -> object:
        return "" if pa.types.is_string(field.type) else None

    return pa.Table.from_pylist(
        [{field.name: row.get(field.name, empty(field)) for field in schema} for row in rows], schema
    )


def replaced(rows: pa.Table, column: str, values: list[str]) -> pa.Table:
    return rows.set_column(rows.column_names.index(column), column, pa.array(values, pa.string()))


def planted() -> Tables:
    """20 catalogued of 23 that landed of 28.

    0-2 are dropped by filters, 3 has no words, 4-9 are not selected, 10 is never drawn.
    1 and 2 repeat 11; of the rest 11-17 train and 18-19 are held out.
    """
    catalogue = [
        {
            "sample_id": sample_id(n),
            "width": 128 if n % 2 else 96,
            "height": 128,
            "num_bytes": 1000,
            "source": f"pool {n % 2}",
            "source_id": f"file {n}",
            "title_en": HOSTILE if n == 11 else f"thing {n}",
            "concept": f"concept {n}",
            "style": "plain",
            "licence": HOSTILE if n == 12 else "MIT",
            "shard": n % 2,
            "row": n // 2,
        }
        for n in range(NUM)
    ]
    reasons = {0: ("flat", ""), 1: ("near_duplicate", sample_id(11)), 2: ("exact_duplicate", sample_id(11))}
    verdicts = [
        {
            "sample_id": sample_id(n),
            "kept": n not in reasons,
            "reason": reasons.get(n, ("", ""))[0],
            "duplicate_of": reasons.get(n, ("", ""))[1],
        }
        for n in range(NUM)
    ]
    kept = range(3, NUM)
    tree = {n: "" if n == 4 else "animals" if n % 2 else "food" for n in kept}
    selected = range(10, NUM)
    return Tables(
        catalogue=table(records.CATALOGUE, catalogue),
        refusals=table(
            records.REFUSALS,
            [
                {"source": "pool 0", "name": f"{n}.zip", "status": "refused", "reason": "archive_inside"}
                | {"detail": HOSTILE}
                for n in range(4)
            ]
            + [{"source": "pool 0", "name": "https://a.example/1", "status": "opted_out", "reason": "noai"}],
        ),
        quarantine=table(
            records.QUARANTINE,
            [
                {
                    "part": "part-00000.parquet",
                    "row": 3,
                    "source_id": HOSTILE,
                    "num_bytes": 1234,
                    "reason": "truncated",
                    "detail": "short",
                },
                {"part": "part-00000.parquet", "row": 5, "source_id": "again", "reason": "repeated_bytes"}
                | {"detail": "the same bytes as file 12"},
                {"part": "part-00001.parquet", "row": 5, "source_id": "more", "num_bytes": 5, "reason": "truncated"}
                | {"detail": "short"},
            ],
        ),
        verdicts=table(records.VERDICTS, verdicts),
        categories=table(
            records.CATEGORIES,
            [
                {"sample_id": sample_id(n), "category": tree[n], "subcategory": "small" if n > 10 else ""}
                | {"label_source": "tree", "probability": 1.0, "is_probe_heldout": False}
                for n in kept
            ],
        ),
        captions=table(
            records.CAPTIONS,
            [
                {
                    "sample_id": sample_id(n),
                    "kind": kind,
                    "language": "en",
                    "text": words * (n if kind == "long" else 1),
                }
                for n in kept
                if n != 3
                for kind, words in (("short", HOSTILE if n == 11 else "four"), ("long", "abc"))
            ],
        ),
        ocr=table(records.OCR, [{"sample_id": sample_id(n), "ocr_text": HOSTILE if n == 13 else ""} for n in (13, 14)]),
        scores=table(records.SCORES, [{"sample_id": sample_id(n), "aesthetic": float(n)} for n in kept]),
        selection=table(
            records.SELECTION,
            [
                {"sample_id": sample_id(n), "category": tree[n], "style": "plain", "concept": f"concept {n}"}
                | {"split": "heldout_concept" if n > 17 else "train"}
                | {"probability": 1 / 7 if 10 < n < 18 else 0.0}
                for n in selected
            ],
        ),
    )


def write_images(folder: Path, num: int = NUM) -> None:
    """Small pictures of every planted sample, in the shards and rows that the catalogue names."""
    for shard in (0, 1):
        numbers = range(shard, num, 2)
        rows = [{"sample_id": sample_id(n), "bytes": picture(n)} for n in numbers]
        records.write_table(pa.Table.from_pylist(rows, records.IMAGES), records.part_file(folder, shard))


def picture(number: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (12, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def tables() -> Tables:
    return planted()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write_images(tmp_path / "images")
    return tmp_path / "images"


@pytest.fixture
def smaller(tables: Tables) -> Tables:
    """The version before: 19 was not selected yet, and 12 was."""
    mask = [sample != sample_id(19) for sample in tables.selection.column("sample_id").to_pylist()]
    return replace(tables, selection=tables.selection.filter(pa.array(mask)))
