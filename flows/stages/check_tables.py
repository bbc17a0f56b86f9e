"""Stage `check_tables`: what is expected of the tables before anything is sampled from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from components.quality.config import CaptionLimits, CategoryBalance, ScoreRange, TableDrift


class Params(BaseModel, frozen=True, extra="forbid"):
    """What the tables must keep; `drift` null compares with no earlier version."""

    min_licensed_frac: float
    min_kept_frac: float
    categories: CategoryBalance
    captions: CaptionLimits
    scores: ScoreRange
    drift: TableDrift | None


@dataclass(frozen=True)
class Metrics:
    """Every expectation passed: a stage that stops has no metrics."""

    checked_tables: int
    checked_rows: int
    passed_expectations: int


def check_tables(
    p: Params,
    *,
    catalogue: Path,
    refusals: Path,
    quarantine: Path,
    verdicts: Path,
    categories: Path,
    captions: Path,
    ocr: Path,
    scores: Path,
    reference: Path,
    receipt: Path,
) -> Metrics:
    """Judge schema, ranges, references, balance, language and drift of the tables; stop if an expectation fails."""
    import pyarrow.parquet as pq

    from components.data import records
    from components.quality import measures, suites
    from components.quality.judge import pass_or_stop
    from components.quality.receipt import read_reference, write_receipt
    from components.tracking import current_run

    files = {
        "catalogue": (catalogue, records.CATALOGUE),
        "refusals": (refusals, records.REFUSALS),
        "quarantine": (quarantine, records.QUARANTINE),
        "verdicts": (verdicts, records.VERDICTS),
        "categories": (categories, records.CATEGORIES),
        "captions": (captions, records.CAPTIONS),
        "ocr": (ocr, records.OCR),
        "scores": (scores, records.SCORES),
    }
    before = read_reference(reference, "tables") if p.drift else None
    schemas, is_complete = suites.schema_check(files)

    def checks() -> Iterator[suites.Check]:
        """One table after the other: no two of the large ones are in memory at once."""
        yield schemas
        if not is_complete:
            return
        needed = {
            "catalogue": records.columns_of(records.CATALOGUE, *suites.CATALOGUE_COLUMNS),
            "verdicts": records.columns_of(records.VERDICTS, *suites.VERDICT_COLUMNS),
        }
        read = {
            name: partial(records.read_table, file, needed.get(name, schema)) for name, (file, schema) in files.items()
        }
        judged = read["verdicts"]()
        kept = judged.filter(judged["kept"])["sample_id"]
        yield from suites.catalogue_checks(read["catalogue"](), p.min_licensed_frac)
        yield from suites.refusals_checks(read["refusals"]())
        yield from suites.quarantine_checks(read["quarantine"]())
        yield from suites.verdicts_checks(judged, read["catalogue"]().column("sample_id"), p.min_kept_frac)
        yield from suites.categories_checks(read["categories"](), kept, p.categories)
        yield from suites.captions_checks(read["captions"](), kept, p.captions)
        yield from suites.ocr_checks(read["ocr"](), kept)
        yield from suites.scores_checks(read["scores"](), kept, p.scores)
        if p.drift and before:
            now = measures.tables_summary(read["categories"](), read["captions"](), read["scores"]())
            yield suites.drift_check("tables_drift", measures.tables_drift(now, before), p.drift)

    outcomes = pass_or_stop(checks(), current_run().log_artifact)
    write_receipt(receipt, outcomes)
    return Metrics(
        checked_tables=len(files),
        checked_rows=sum(pq.read_metadata(file).num_rows for file, _ in files.values()),
        passed_expectations=len(outcomes),
    )
