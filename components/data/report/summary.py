"""The figures of one version of the data set, as plain JSON: what the page shows and what two versions differ in."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int64, Integer

from components.data import records
from components.data.arrow import pc
from components.data.errors import DataError
from components.data.report.tables import GATES, Tables, align, fates, landing_reasons

SCHEMA = 1
GROUPS = ("category", "source", "licence", "style")
STEPS_PER_OCTAVE = 8
_NUM_BINS = 30
_MAX_ASPECT_OCTAVES = 3

Summary = dict[str, Any]


def summarise(tables: Tables) -> Summary:
    """Everything that the report tells of one version: JSON values only, equal for equal tables."""
    fate, kept = fates(tables), kept_images(tables)
    splits = Counter(tables.selection.column("split").to_pylist())
    return {
        "schema": SCHEMA,
        "version": version(tables.selection),
        "funnel": funnel(tables, fate),
        "bytes": pc.sum(tables.catalogue.column("num_bytes")).as_py() or 0,
        "splits": dict(sorted(splits.items())),
        "groups": {name: group_counts(kept, (name,)) for name in GROUPS},
        "subcategories": group_counts(kept, ("category", "subcategory")),
        "aesthetic": {"note": tables.score_note, **aesthetics(kept)},
        "captions": caption_lengths(tables.captions),
        "text": {"read": tables.ocr.num_rows, "found": int((records.strings(tables.ocr, "ocr_text") != "").sum())},
        "duplicates": cluster_sizes(tables.verdicts),
        "sizes": size_map(tables.catalogue),
        "aspects": aspects(tables.catalogue),
    }


def version(selection: pa.Table) -> str:
    """A name of what is trained on: SHA-256 over the selected images, their split and probability, in id order."""
    rows = selection.select(["sample_id", "split", "probability"]).sort_by("sample_id").to_pylist()
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def funnel(tables: Tables, fate: pa.Table) -> list[dict[str, Any]]:
    """For every gate how many images came, how many passed, and how many were stopped for which reason.

    What landing refused counts once, also where it is an archive of which nobody knows how many images it holds.
    """
    dropped = Counter(zip(fate.column("gate").to_pylist(), fate.column("reason").to_pylist(), strict=True))
    dropped += Counter(("ingest", reason) for reason in tables.quarantine.column("reason").to_pylist())
    dropped += Counter(("land", reason) for reason in landing_reasons(tables.refusals))
    offered, gates = fate.num_rows + tables.quarantine.num_rows + tables.refusals.num_rows, list[dict[str, Any]]()
    for gate in GATES:
        reasons = {reason: count for (at, reason), count in dropped.items() if at == gate}
        kept = offered - sum(reasons.values())
        gates.append({"gate": gate, "offered": offered, "kept": kept, "dropped": _largest_first(reasons)})
        offered = kept
    return gates


def kept_images(tables: Tables) -> pa.Table:
    """A row for each image that the filters kept: its groups, score, whether selected, and draws expected per epoch."""
    kept = tables.verdicts.filter(tables.verdicts.column("kept")).column("sample_id").combine_chunks()
    samples, tree = align(tables.catalogue, kept), align(tables.categories, kept)
    chosen, scores = align(tables.selection, kept), align(tables.scores, kept)
    num_train = pc.sum(pc.equal(tables.selection.column("split"), "train")).as_py() or 0
    drawn = pc.multiply(pc.fill_null(chosen.column("probability"), 0.0), float(num_train))
    texts = {name: samples.column(name) for name in ("source", "licence", "style")}
    texts |= {name: tree.column(name) for name in ("category", "subcategory")}
    return pa.table(
        {
            "sample_id": kept,
            **{name: pc.fill_null(column, "") for name, column in texts.items()},
            "aesthetic": scores.column("aesthetic"),
            "selected": pc.is_valid(chosen.column("sample_id")),
            "drawn": drawn,
        }
    )


def group_counts(kept: pa.Table, names: Sequence[str]) -> list[dict[str, Any]]:
    """For each value of the columns `names`: images kept, selected, and drawn per epoch; the largest first."""
    sums = kept.group_by(list(names), use_threads=False).aggregate(
        [("sample_id", "count"), ("selected", "sum"), ("drawn", "sum")]
    )
    rows = [
        {
            **{name: row[name] for name in names},
            "kept": row["sample_id_count"],
            "selected": row["selected_sum"],
            "drawn": round(row["drawn_sum"], 3),
        }
        for row in sums.to_pylist()
    ]
    return sorted(rows, key=lambda row: (-row["kept"], [row[name] for name in names]))


def aesthetics(kept: pa.Table) -> dict[str, Any]:
    """Histograms of the score over the kept images and over the draws of an epoch, and the mean of each."""
    is_scored = pc.is_valid(kept.column("aesthetic"))
    scored = kept.filter(is_scored)
    values = scored.column("aesthetic").to_numpy().astype(np.float64)
    drawn = scored.column("drawn").to_numpy()
    return {
        "mean_kept": _mean(values, np.ones(len(values))),
        "mean_drawn": _mean(values, drawn),
        **_histogram(values, {"kept": np.ones(len(values)), "drawn": drawn}),
    }


def caption_lengths(captions: pa.Table) -> list[dict[str, Any]]:
    """For each kind, language and maker of caption: how many, of how many images, and how long in characters."""
    names = [name for name in ("kind", "language", "maker") if name in captions.column_names]
    rows = list[dict[str, Any]]()
    keys = captions.select(names).group_by(names).aggregate([]).sort_by([(name, "ascending") for name in names])
    for key in keys.to_pylist():
        mine = captions
        for name, value in key.items():
            mine = mine.filter(pc.equal(mine.column(name), value))
        lengths = pc.utf8_length(mine.column("text")).to_numpy().astype(np.float64)
        low, middle, high = np.percentile(lengths, [5, 50, 95]).tolist()
        images = pc.count_distinct(mine.column("sample_id")).as_py()
        spread = {"p5": low, "median": middle, "p95": high}
        counts = _histogram(lengths, {"captions": np.ones(len(lengths))})
        rows.append({**key, "number": mine.num_rows, "images": images, **spread, "histogram": counts})
    return rows


def cluster_sizes(verdicts: pa.Table) -> dict[str, Any]:
    """How many clusters of repeats there are, by size (the kept copy counts), and the images dropped from them."""
    repeats = Counter(kept for kept in verdicts.column("duplicate_of").to_pylist() if kept)
    sizes = Counter(1 + count for count in repeats.values())
    by_size = {str(size): sizes[size] for size in sorted(sizes)}
    return {"clusters": len(repeats), "dropped": repeats.total(), "by_size": by_size}


def size_map(catalogue: pa.Table) -> list[list[int]]:
    """How many images are so wide and so high: [step, step, count], a step being an eighth of an octave of pixels."""
    steps = [_steps(catalogue.column(name).to_numpy()) for name in ("width", "height")]
    cells = Counter(zip(*(step.tolist() for step in steps), strict=True))
    return [[wide, high, count] for (wide, high), count in sorted(cells.items())]


def aspects(catalogue: pa.Table) -> dict[str, Any]:
    """Histogram of log2(width / height) in quarter octaves; what is beyond 1:8 or 8:1 counts in the last bins."""
    wide, high = (np.log2(catalogue.column(name).to_numpy()) for name in ("width", "height"))
    octaves = np.clip(wide - high, -_MAX_ASPECT_OCTAVES, _MAX_ASPECT_OCTAVES)
    edges = np.arange(-4 * _MAX_ASPECT_OCTAVES - 0.5, 4 * _MAX_ASPECT_OCTAVES + 1) / 4
    return {"edges": edges.tolist(), "images": np.histogram(octaves, edges)[0].tolist()}


def write_summary(summary: Mapping[str, Any], file: Path) -> None:
    """Write `summary` as JSON that a person can read."""
    text = json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False)
    file.write_text(text + "\n", encoding="utf-8")


def parse_summary(text: str | bytes, name: str) -> Summary:
    """The summary that `write_summary` wrote; DataError names what is wrong with another text."""
    try:
        summary = json.loads(text)
    except ValueError as error:
        raise DataError(f"{name}: is not JSON ({error}); give the summary.json of a data report") from None
    if not isinstance(summary, dict) or "funnel" not in summary:
        raise DataError(f"{name}: is no summary of a data report; give the summary.json that `easel data report` makes")
    if summary.get("schema") != SCHEMA:
        raise DataError(
            f"{name}: was written by another version of Easel (schema {summary.get('schema')}, not {SCHEMA})"
        )
    return summary


def _largest_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _steps(sizes_px: Integer[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    return np.floor(STEPS_PER_OCTAVE * np.log2(sizes_px) + 1e-9).astype(np.int64)


def _histogram(values: Float[np.ndarray, " n"], weights: Mapping[str, Float[np.ndarray, " n"]]) -> dict[str, Any]:
    """About 30 bins of a round width, the same for every weight; the first and last hold the outermost 0.5 %."""
    if not len(values):
        return {"edges": [0.0, 1.0], **{name: [0.0] for name in weights}}
    low, high = np.percentile(values, [0.5, 99.5]).tolist()
    values = np.clip(values, low, high)
    width = _round_width((high - low) / _NUM_BINS) if high > low else 1.0
    first, last = np.floor(low / width), np.floor(high / width) + 1
    edges = np.arange(first, last + 0.5) * width
    counts = {name: np.histogram(values, edges, weights=weight)[0].round(3) for name, weight in weights.items()}
    return {"edges": edges.round(9).tolist(), **{name: count.tolist() for name, count in counts.items()}}


def _round_width(width: float) -> float:
    """The next larger of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(width))
    return float(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= width * (1 - 1e-9)))


def _mean(values: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"]) -> float | None:
    return round(float((values * weights).sum() / weights.sum()), 6) if weights.sum() > 0 else None
