"""Stage `check_selection`: what is expected of a selection before anything is encoded or trained from it."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from components.quality.config import CategoryBalance, SelectionDrift


class Params(BaseModel, frozen=True, extra="forbid"):
    """What the selection must keep; `drift` null compares with no earlier version."""

    categories: CategoryBalance
    drift: SelectionDrift | None


@dataclass(frozen=True)
class Metrics:
    """Every expectation passed: a stage that stops has no metrics."""

    checked_rows: int
    passed_expectations: int


def check_selection(p: Params, *, verdicts: Path, selection: Path, reference: Path, receipt: Path) -> Metrics:
    """Judge references, splits, probabilities, balance and drift of the selection; stop if an expectation fails."""
    from components.data import records
    from components.quality import measures, suites
    from components.quality.judge import pass_or_stop
    from components.quality.receipt import read_reference, write_receipt
    from components.tracking import current_run

    attach = current_run().log_artifact
    schemas, is_complete = suites.schema_check({"selection": (selection, records.SELECTION)})
    if not is_complete:
        pass_or_stop([schemas], attach)
    table = records.read_table(selection, records.SELECTION)
    kept = records.read_table(verdicts, records.VERDICTS)
    summary = measures.selection_summary(table)
    before = read_reference(reference, "selection")
    checks = [schemas, *suites.selection_checks(table, kept.filter(kept["kept"])["sample_id"], p.categories)]
    if p.drift and before:
        checks.append(suites.drift_check("selection_drift", measures.selection_drift(summary, before), p.drift))
    outcomes = pass_or_stop(checks, attach)
    write_receipt(receipt, outcomes)
    return Metrics(checked_rows=table.num_rows, passed_expectations=len(outcomes))
