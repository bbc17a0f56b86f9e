"""The Aes model on two cores: scores from cached features and from pixels, and the stage `aes` of the default recipe.

The stage runs on pictures made in code, as many as the recipe takes; what it reaches on them is no figure of the
recipe's own run.
"""

import hashlib
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from harness import Figure, at_least, at_most, in_child
from pictures import jpeg, photo_like

ROOT = Path(__file__).parents[2]
NUM_CACHED, NUM_PICTURES, PX = 20_000, 512, 64


def measure(folder: Path) -> list[Figure]:
    make_pool(folder)
    stage = in_child(run_stage, folder)
    cached, seen = in_child(score, folder / "model").value
    return [
        at_least("scoring, features cached", cached, "images/s", 100),
        Figure("scoring from pixels of 64 px", seen, "images/s"),
        at_most("stage aes, default recipe: time", stage.seconds, "s", 60),
        Figure("stage aes, default recipe: processor time", stage.cpu_seconds, "s"),
        Figure("stage aes, default recipe: peak memory", stage.peak_mb, "MB"),
        at_least("SRCC on held-out proxy ranks of these pictures", stage.value, "", 0.85),
    ]


def make_pool(folder: Path) -> None:
    """Pictures with the tables that the stage reads."""
    from components.data import records

    rng = np.random.default_rng(0)
    data = [jpeg(photo_like(rng, PX, PX), 95) for _ in range(recipe()["labels"]["num_images"])]
    ids = [hashlib.sha256(one).hexdigest() for one in data]
    rows = [{"sample_id": own, "concept": own, "shard": 0, "row": row, "kept": True} for row, own in enumerate(ids)]
    for name, schema in (
        ("catalogue", records.CATALOGUE),
        ("verdicts", records.VERDICTS),
        ("categories", records.CATEGORIES),
    ):
        records.write_table(pa.Table.from_pylist(rows, schema=schema), folder / f"{name}.parquet")
    records.write_table(records.CANDIDATES.empty_table(), folder / "candidates.parquet")
    records.write_table(pa.table([ids, data], schema=records.IMAGES), records.part_file(folder / "images", 0))


def recipe() -> dict:
    return yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["aes"]


def run_stage(folder: Path) -> float:
    from flows.stages.aes import Params, aes

    tables = {name: folder / f"{name}.parquet" for name in ("catalogue", "verdicts", "categories", "candidates")}
    images = {"images": folder / "images", "candidate_images": folder / "images", "raw": folder}
    return aes(Params(**recipe()), **tables, **images, model=folder / "model").srcc


def score(model: Path) -> tuple[float, float]:
    """Images per second from features, and from pixels."""
    from components.models.aes_model import load_aes

    scorer, rng = load_aes(model), np.random.default_rng(0)
    pictures = rng.integers(0, 256, (NUM_PICTURES, PX, PX, 3), dtype=np.uint8)
    features = np.resize(scorer.features(pictures), (NUM_CACHED, scorer.head.weight.shape[1]))
    started = time.perf_counter()
    scorer.scores_of_features(features)
    cached = time.perf_counter()
    scorer.scores(pictures)
    return NUM_CACHED / (cached - started), NUM_PICTURES / (time.perf_counter() - cached)
