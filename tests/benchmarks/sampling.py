"""Two-level sampling of ten million rows in ten thousand categories, from Parquet to Parquet: time and memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from harness import Figure, at_most, in_child

NUM_ROWS = 10_000_000
NUM_CATEGORIES = 10_000
NUM_CONCEPTS = 50_000
BATCH_ROWS = 1 << 16
HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def measure(folder: Path) -> list[Figure]:
    in_child(write_candidates, folder / "candidates.parquet")
    run = in_child(sample, folder / "candidates.parquet", folder)
    balance = pq.read_table(folder / "balance.parquet")
    mass = probability_mass(folder / "selection.parquet")
    names = balance["category"].to_pylist()
    gaps = np.abs(np.array([mass[name] for name in names]) - balance["sampled_frac"].to_numpy())
    return [
        at_most("sampling 10 million rows, 10,000 categories: time", run.seconds, "s", 60),
        Figure("sampling 10 million rows, 10,000 categories: processor time", run.cpu_seconds, "s"),
        at_most("sampling 10 million rows, 10,000 categories: peak memory", run.peak_mb, "MB", 2000),
        at_most("largest gap between a category's reported and written share", float(gaps.max()), "", 1e-9),
    ]


def write_candidates(file: Path) -> None:
    """Categories by Zipf's law, five styles, concepts for four in five rows."""
    from components.data.selection import CANDIDATES

    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, NUM_CATEGORIES + 1)
    cumulative = np.cumsum(share / share.sum())
    category_names = pa.array([f"category {number:05d}" for number in range(NUM_CATEGORIES)])
    concept_names = pa.array([f"concept {number}" for number in range(NUM_CONCEPTS)] + [""] * (NUM_CONCEPTS // 4))
    style_names = pa.array(["photo", "emoji", "sketch", "poster", "anime"])
    with pq.ParquetWriter(file, CANDIDATES, compression="zstd") as writer:
        for start in range(0, NUM_ROWS, BATCH_ROWS):
            count = min(BATCH_ROWS, NUM_ROWS - start)
            category = np.minimum(np.searchsorted(cumulative, rng.random(count)), NUM_CATEGORIES - 1)
            columns = [
                hex_ids(rng, count),
                category_names.take(pa.array(category)),
                style_names.take(pa.array(rng.integers(0, len(style_names), count))),
                concept_names.take(pa.array(rng.integers(0, len(concept_names), count))),
                pa.array((rng.normal(size=count) + np.sin(category)).astype(np.float32)),
                pa.array(np.zeros(count, bool)),
            ]
            writer.write_table(pa.table(columns, schema=CANDIDATES))


def hex_ids(rng: np.random.Generator, count: int) -> pa.Array:
    """Random identities of 64 hexadecimal digits."""
    digits = HEX[rng.integers(0, 16, (count, 64), dtype=np.uint8)]
    offsets = np.arange(0, 64 * count + 1, 64, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(digits.tobytes())])


def sample(candidates: Path, folder: Path) -> None:
    from components.data.config import SplitShares, TwoLevelSampling
    from components.data.selection import write_selection

    write_selection(
        lambda columns: pq.ParquetFile(candidates).iter_batches(BATCH_ROWS, columns=columns),
        SplitShares(0.06, 0.14, 0.1, ()),
        TwoLevelSampling(0.5, 0.5, 1.0, 20.0, 1e-5, 3.0),
        folder / "selection.parquet",
        folder / "balance.parquet",
    )


def probability_mass(selection: Path) -> dict[str, float]:
    """What was written, added up by category."""
    total: dict[str, float] = {}
    for batch in pq.ParquetFile(selection).iter_batches(BATCH_ROWS * 16, columns=["category", "probability"]):
        sums = pa.Table.from_batches([batch]).group_by("category").aggregate([("probability", "sum")])
        for name, value in zip(sums["category"].to_pylist(), sums["probability_sum"].to_pylist(), strict=True):
            total[name] = total.get(name, 0.0) + value
    return total
