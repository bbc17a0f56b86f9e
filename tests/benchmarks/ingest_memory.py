"""Peak memory of the stage `ingest` on 10 thousand and on 200 thousand small images: it should hardly differ."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from harness import Figure, at_most, in_child
from pictures import jpeg, photo_like

COUNTS = 10_000, 200_000
PART_IMAGES = 2_000
ROOT = Path(__file__).resolve().parents[2]


def measure(folder: Path) -> list[Figure]:
    runs = []
    for count in COUNTS:
        in_child(write_pool, folder / str(count), count)
        runs.append(in_child(ingest, folder / str(count)))
    few, many = runs
    return [
        Figure("ingest of 10 thousand images: peak memory", few.peak_mb, "MB"),
        Figure("ingest of 200 thousand images: peak memory", many.peak_mb, "MB"),
        at_most("growth of peak memory, 20 times the images", 100 * (many.peak_mb / few.peak_mb - 1), "%", 10),
        Figure("ingest of 200 thousand images of 32 pixels", COUNTS[1] / many.seconds, "images/s"),
    ]


def write_pool(folder: Path, count: int) -> None:
    """Raw parts of small JPEGs, each with bytes of its own behind the picture's end, which decoders pass over."""
    from components.data import records

    rng = np.random.default_rng(0)
    pictures = [jpeg(photo_like(rng, 32, 32), 85) for _ in range(500)]
    for start in range(0, count, PART_IMAGES):
        rows = [
            {
                "source_id": f"{number}.jpg",
                "source": "bench",
                "image": pictures[number % len(pictures)] + number.to_bytes(8),
                "title_en": f"thing {number}",
                "licence": "MIT",
            }
            for number in range(start, min(start + PART_IMAGES, count))
        ]
        part = folder / "raw" / "pool" / f"part-{start // PART_IMAGES:05d}.parquet"
        records.write_table(pa.Table.from_pylist(rows, schema=records.RAW), part)


def ingest(folder: Path) -> None:
    from flows.stages.ingest import Params, ingest

    given = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["ingest"] | {"pools": ["pool"]}
    out = {name: folder / name for name in ("images", "catalogue", "quarantine", "refusals")}
    metrics = ingest(Params.model_validate(given), raw=folder / "raw", **out)
    assert metrics.catalogued_images == metrics.offered_images
