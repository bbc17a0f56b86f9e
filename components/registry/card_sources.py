"""From the pipeline's tables and report to what a card says: scores, and the sources with their terms."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.registry.card import Effect, Pairs, Score, TrainingSource, Win

SPLIT_NAMES = {
    "heldout": "all held-out prompts",
    "heldout_cell": "unseen style-concept pairs",
    "heldout_concept": "unseen concepts",
    "rendered_text": "prompts that ask for words",
}
Row = dict[str, Any]


def read_report(report: Path, model: str) -> Row:
    """What was stored of an evaluation; ValueError, naming those that there are, if `model` had no part in it."""
    content = json.loads((report / "report.json").read_text(encoding="utf-8"))
    if model not in content["models"]:
        there = ", ".join(content["models"])
        raise ValueError(f"{report} is no evaluation of {model!r}; the parameter `evaluated_as` may be: {there}")
    return content


def read_rows(report: Path, model: str) -> list[Row]:
    """The report's rows of one model."""
    return [row for row in read_report(report, model)["rows"] if row["model"] == model]


def read_scores(report: Path, model: str) -> list[Score]:
    """The rows as the card's."""
    return [
        Score(
            f"{row['name']}, {SPLIT_NAMES.get(row['split'], row['split'])}",
            row["value"],
            row["low"],
            row["high"],
            row["chance"],
            row["real"],
        )
        for row in read_rows(report, model)
    ]


def read_wins(report: Path, model: str) -> list[Win]:
    """How often the judge preferred each model of the chain, up to this one, to the one before."""
    content = read_report(report, model)
    chain = content["models"][: content["models"].index(model) + 1]
    return [
        Win(rate["model"], rate["over"], rate["share"], rate["low"], rate["high"])
        for rate in content["win_rates"]
        if rate["model"] in chain
    ]


def read_effects(report: Path, model: str) -> list[Effect]:
    """What the enhancer does to this model's scores, over all held-out prompts; empty if the report does not tell."""
    rows = (read_report(report, model).get("enhancer") or {}).get("rows", ())
    of = {(row["split"], row["model"], row["key"]): row for row in rows}
    return [
        Effect(
            row["name"],
            of["heldout", model, row["key"]]["value"],
            row["value"],
            *(row["difference"][name] for name in ("value", "low", "high", "verdict")),
        )
        for row in of.values()
        if row["split"] == "heldout" and row["difference"] and row["difference"]["over"] == model
    ]


NO_FIGURES = ("examples_seen", "final_loss")  # of training: they say nothing of held-out wishes


def read_figures(enhancer: Path) -> dict[str, float]:
    """What was measured of a prompt enhancer on held-out wishes, by name; empty if nothing was."""
    file = enhancer / "training.json"
    stored = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {name: float(value) for name, value in stored.get("held_out", {}).items() if name not in NO_FIGURES}


def read_metrics(report: Path, model: str) -> dict[str, float]:
    """The values under `split/key`, and the win rates, as the registry shows them."""
    values = {f"{row['split']}/{row['key']}": float(row["value"]) for row in read_rows(report, model)}
    return values | {f"win_rate/{win.model}_over_{win.over}": win.share for win in read_wins(report, model)}


def read_pairs(pairs_file: Path) -> Pairs:
    """What a table of preference pairs is made of."""
    table = pq.read_table(pairs_file, columns=["judge", "is_human"])
    num_human = sum(table.column("is_human").to_pylist())
    return Pairs(table.num_rows, num_human, sorted(set(table.column("judge").to_pylist())))


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
