"""From the pipeline's tables and report to what a card says: scores, and the sources with their terms."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from components.registry.card import Score, TrainingSource

SPLIT_NAMES = {"heldout_cell": "unseen style-concept pairs", "heldout_concept": "unseen concepts"}


def read_scores(report: Path) -> list[Score]:
    """The report's rows as the card's."""
    content = json.loads((report / "report.json").read_text(encoding="utf-8"))
    return [
        Score(
            f"{row['name']}, {SPLIT_NAMES.get(row['split'], row['split'])}",
            row["value"],
            row["low"],
            row["high"],
            row["chance"],
            row["real"],
        )
        for row in content["rows"]
    ]


def read_metrics(report: Path) -> dict[str, float]:
    """The report's values under `split/key`, as the registry shows them."""
    content = json.loads((report / "report.json").read_text(encoding="utf-8"))
    return {f"{row['split']}/{row['key']}": float(row["value"]) for row in content["rows"]}


def read_sources(selection_file: Path, catalogue_file: Path) -> list[TrainingSource]:
    """Each source, licence and attribution among the images that training draws, with their number, largest first."""
    selection = pq.read_table(selection_file, columns=["sample_id", "probability"])
    drawn = selection.filter([p > 0 for p in selection.column("probability").to_pylist()]).select(["sample_id"])
    catalogue = pq.read_table(catalogue_file, columns=["sample_id", "source", "licence", "creator", "attribution"])
    joined = drawn.join(catalogue, "sample_id", join_type="inner")
    counted = joined.group_by(["source", "licence"]).aggregate([("sample_id", "count"), ("attribution", "min")])
    rows = sorted(counted.to_pylist(), key=lambda row: (-row["sample_id_count"], row["source"], row["licence"]))
    return [
        TrainingSource(row["source"], row["sample_id_count"], row["licence"], row["attribution_min"] or "–")
        for row in rows
    ]
