"""The tables that a report is made from, and what became of every image in them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool

from components.data import records
from components.data.arrow import pc
from components.data.errors import DataError

ENCODED = ""
GATES = ("land", "ingest", "filter", "caption", "select", "encode")
CATALOGUED = records.columns_of(
    records.CATALOGUE,
    *("sample_id", "width", "height", "num_bytes", "source", "source_id", "title_en"),
    *("concept", "style", "licence", "shard", "row"),
)


@dataclass(frozen=True)
class Tables:
    """One version of the data set, as the data stages wrote it; `score_note` is what the score's makers say of it."""

    catalogue: pa.Table
    refusals: pa.Table
    quarantine: pa.Table
    verdicts: pa.Table
    categories: pa.Table
    captions: pa.Table
    ocr: pa.Table
    scores: pa.Table
    selection: pa.Table
    score_note: str = ""


def read_tables(**files: Path) -> Tables:
    """The tables from their files, one for each table of `Tables`; DataError names a file that is not as it must be."""
    schemas = {name: getattr(records, name.upper()) for name in files} | {"catalogue": CATALOGUED}
    tables = {name: records.read_table(file, schemas[name]) for name, file in files.items()}
    notes = pq.read_schema(files["scores"]).metadata or {}
    return Tables(**tables, score_note=notes.get(b"aesthetic", b"").decode())


def fates(tables: Tables) -> pa.Table:
    """For every catalogued image (`sample_id`) the `gate` that it did not pass and the `reason`; both "" if encoded.

    DataError if a later table names images that an earlier one dropped: the tables are then of different runs.
    """
    ids = tables.catalogue.column("sample_id").combine_chunks()
    verdicts = records.take_ids(tables.verdicts, ids.to_pylist(), "verdicts")
    gate = np.full(len(ids), ENCODED, dtype=object)
    reason = np.full(len(ids), "", dtype=object)

    def stop(is_stopped: Bool[np.ndarray, " n"], at: str, why: Any) -> None:
        new = is_stopped & (gate == ENCODED)
        gate[new], reason[new] = at, why[new] if isinstance(why, np.ndarray) else why

    stop(records.strings(verdicts, "reason") != "", "filter", records.strings(verdicts, "reason"))
    _check_alive(ids, gate, tables.categories, "categories")
    stop(~_is_in(ids, tables.captions), "caption", "no_usable_words")
    _check_alive(ids, gate, tables.selection, "selection")
    stop(~_is_in(ids, tables.selection), "select", _why_not_selected(ids, tables))
    stop(~_is_in(ids, tables.selection.filter(is_encoded(tables.selection))), "encode", "probability_zero")
    return pa.table({"sample_id": ids, "gate": gate.tolist(), "reason": reason.tolist()})


def landing_reasons(refusals: pa.Table) -> list[str]:
    """Why each row was not taken: a maker's wish and a failure that may pass are told from plain refusals."""
    said = zip(refusals.column("status").to_pylist(), refusals.column("reason").to_pylist(), strict=True)
    return [f"{status}: {reason}" if status in ("opted_out", "failed") else reason for status, reason in said]


def is_encoded(selection: pa.Table) -> pa.Array | pa.ChunkedArray:
    """Which rows are encoded: those that training may draw, and those held out."""
    return pc.or_(pc.greater(selection["probability"], 0), pc.not_equal(selection["split"], "train"))


def align(table: pa.Table, ids: pa.Array) -> pa.Table:
    """Rows of `table` (one per `sample_id`) in the order of `ids`, all null where it has none."""
    return table.take(pc.index_in(ids, table.column("sample_id").combine_chunks()))


def _is_in(ids: pa.Array, table: pa.Table) -> Bool[np.ndarray, " n"]:
    found = pc.is_in(ids, table.column("sample_id").combine_chunks())
    return found.to_numpy(zero_copy_only=False)


def _check_alive(ids: pa.Array, gate: np.ndarray, table: pa.Table, name: str) -> None:
    alive = ids.filter(pa.array(gate == ENCODED))
    strangers = table.filter(pc.invert(pc.is_in(table.column("sample_id"), alive)))
    if strangers.num_rows:
        raise DataError(
            f"{name}: {strangers.num_rows} rows are of images that an earlier stage dropped or never saw (first: "
            f"{strangers.column('sample_id')[0].as_py()}); its table is of another run, run the data stages again"
        )


def _why_not_selected(ids: pa.Array, tables: Tables) -> np.ndarray:
    """The most general thing that an image not selected has and no selected image has."""
    tree, samples = align(tables.categories, ids), tables.catalogue
    category = records.strings(tree, "category")
    reason = np.full(len(ids), "not_taken", dtype=object)
    for values, chosen, why in (
        (records.strings(samples, "concept"), records.strings(tables.selection, "concept"), "concept_not_taken"),
        (records.strings(samples, "style"), records.strings(tables.selection, "style"), "style_not_wanted"),
        (category, records.strings(tables.selection, "category"), "category_not_wanted"),
    ):
        reason[~np.isin(values, np.unique(chosen))] = why
    reason[category == ""] = "no_category"
    return reason
