"""The lineage report: one HTML file about one model, which needs no network and holds no script."""

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from components.data.report.look import whole_page
from components.lineage.differences import Differences, differences
from components.lineage.graph import Graph
from components.lineage.page import Question, Verified, render_body
from components.lineage.page_style import STYLE
from components.lineage.record import Record
from flows.lineage.model_references import UnknownReferenceError, find_record, open_graph
from flows.lineage.question_commands import describer
from flows.reports import write_durably
from flows.requests import FAMILIES

if TYPE_CHECKING:
    from components.lineage.log import Ledger

CROWNED = ("promoted", "rolled back")
"""Results of decisions that made a version champion."""


def write_report(root: Path, reference: str, file: Path) -> Path:
    """Write the report about `reference`, or about the newest export if that is empty, and return the file.

    Raises:
        ValueError: in one line: the word means nothing, or the ledger holds nothing.
    """
    ledger, graph = open_graph(root)
    if not reference:
        reference = newest_export(graph)
    record = find_record(root, graph, reference)
    before = previous(graph, record)
    question = Question(
        reference,
        record.id,
        graph,
        differences=_difference(root, ledger, graph, before, record) if before else None,
        compared_with=_told(before) if before else "",
        verified=verify(root, record, reference),
        head=_head(ledger),
    )
    page = whole_page(escape(f"Lineage of {reference}"), STYLE, render_body(question))
    write_durably(file, page)
    return file


def newest_export(graph: Graph) -> str:
    """The word for the newest exported model; UnknownReferenceError where there is none."""
    exports = {path.as_posix(): word or "latest" for word, (_, path) in FAMILIES.items()}
    for record in reversed(graph.records):
        if found := next((exports[item.path] for item in record.outputs if item.path in exports), ""):
            return found
    raise UnknownReferenceError(f"no model was exported yet; name what you ask for: {graph.offer()}")


def previous(graph: Graph, record: Record) -> Record | None:
    """What to compare a record with: the newest champion before it, as the ledger tells; else the version before it."""
    earlier = [one for one in graph.records[: graph.index(record.id)] if one.subject == record.subject]
    for decision in reversed(graph.records):
        if decision.decision.get("result") in CROWNED:
            named = graph.parents(decision.id)
            if found := next((one for one in reversed(earlier) if one.id in named), None):
                return found
    return earlier[-1] if earlier else None


def verify(root: Path, record: Record, reference: str) -> Verified | None:
    """What `easel verify` says of it now; None where the record exports no model."""
    from components.lineage.chain import BrokenError
    from flows.lineage.verification import all_steps, subject_of

    exports = [path.as_posix() for _, path in FAMILIES.values()]
    if not any(item.path in exports for item in record.outputs):
        return None
    steps: list[tuple[str, str]] = []
    try:
        for step in all_steps(subject_of(root, reference)):
            steps.append((step.name, step.found))
    except BrokenError as error:
        return Verified(steps, f"{error.fault.place}: {error.fault.message}")
    except ValueError as error:
        return Verified(steps, str(error), is_asked=False)
    return Verified(steps)


def _difference(root: Path, ledger: "Ledger", graph: Graph, before: Record, record: Record) -> Differences:
    return differences(graph, before.id, record.id, ledger.sample_set, describe=describer(root))


def _told(record: Record) -> str:
    return f"{record.subject} of {record.started_at[:16].replace('T', ' ')}"


def _head(ledger: "Ledger") -> dict[str, str]:
    head = ledger.head()
    if head is None:
        return {}
    told = {"entries": f"{head.size:,}", "root": head.root, "signed": head.signed_at, "key": head.key_id}
    return {**told, "signature": head.signature}
