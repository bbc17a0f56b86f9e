"""Stage `check_tables`: what is expected of the tables before anything is sampled from them."""

from dataclasses import dataclass
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
    quarantine: Path,
    verdicts: Path,
    categories: Path,
    captions: Path,
    scores: Path,
    reference: Path,
    receipt: Path,
) -> Metrics:
    """Judge schema, ranges, references, balance, language and drift of the tables; stop if an expectation fails."""
    from components.data import records
    from components.quality import measures, suites
    from components.quality.judge import pass_or_stop
    from components.quality.receipt import read_reference, write_receipt
    from components.tracking import current_run

    attach = current_run().log_artifact
    files = {
        "catalogue": (catalogue, records.CATALOGUE),
        "quarantine": (quarantine, records.QUARANTINE),
        "verdicts": (verdicts, records.VERDICTS),
        "categories": (categories, records.CATEGORIES),
        "captions": (captions, records.CAPTIONS),
        "scores": (scores, records.SCORES),
    }
    schemas, is_complete = suites.schema_check(files)
    if not is_complete:
        pass_or_stop([schemas], attach)
    tables = {name: records.read_table(file, schema) for name, (file, schema) in files.items()}
    kept = tables["verdicts"].filter(tables["verdicts"]["kept"])["sample_id"]
    summary = measures.tables_summary(tables["categories"], tables["captions"], tables["scores"])
    before = read_reference(reference, "tables")
    checks = [
        schemas,
        *suites.catalogue_checks(tables["catalogue"], p.min_licensed_frac),
        *suites.quarantine_checks(tables["quarantine"]),
        *suites.verdicts_checks(tables["verdicts"], tables["catalogue"], p.min_kept_frac),
        *suites.categories_checks(tables["categories"], kept, p.categories),
        *suites.captions_checks(tables["captions"], kept, p.captions),
        *suites.scores_checks(tables["scores"], kept, p.scores),
    ]
    if p.drift and before:
        checks.append(suites.drift_check("tables_drift", measures.tables_drift(summary, before), p.drift))
    outcomes = pass_or_stop(checks, attach)
    write_receipt(receipt, outcomes)
    return Metrics(
        checked_tables=len(tables),
        checked_rows=sum(table.num_rows for table in tables.values()),
        passed_expectations=len(outcomes),
    )
