"""The audit summary of a model: public summary of training content, licences and attributions, and model card."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from components.lineage.audit.card import model_card
from components.lineage.audit.document import Document
from components.lineage.audit.figures import Evidence, Facts
from components.lineage.audit.ingredients import ingredients_of
from components.lineage.audit.provider import Provider
from components.lineage.audit.sources import licences, processing, sources
from components.lineage.audit.summary import TEMPLATE, Case, general
from components.lineage.graph import Graph
from components.lineage.record import Record

DRAFT = (
    "This is a draft that a program made from the ledger's records and the provider's statements, in the order of the "
    f"European Commission's template {TEMPLATE}. It is no legal advice; whether it meets any duty is for the provider "
    "to say."
)


def audit_document(
    graph: Graph,
    subject: Record,
    ledger: Facts,
    *,
    tables: Mapping[str, Path] | None = None,
    provider: Provider | None = None,
    words: Mapping[str, str] | None = None,
    head: tuple[int, str] = (-1, ""),
) -> Document:
    """The document about the model that `subject` made.

    Args:
        graph: of the ledger's records.
        subject: the record asked about.
        ledger: where figures are read from.
        tables: catalogues whose bytes are at hand, by SHA-256.
        provider: what only the provider can say.
        words: texts of the exported model's README by heading.
        head: size and root of the log as it stood.
    """
    case = Case(ingredients_of(graph, subject), Evidence(ledger, tables), provider or Provider())
    document = Document(
        f"Training content and model card of {subject.subject}", DRAFT, subject.id, *head, remarks=_remarks(case)
    )
    sections = (general(case), sources(case), processing(case), licences(case), model_card(case, words or {}))
    return replace(document, sections=sections)


def _remarks(case: Case) -> tuple[str, ...]:
    """What an auditor should know before reading on: gaps of the ledger, dirty code, what was only observed."""
    gaps = [
        f"record {one[:12]} is named by others, and the ledger does not hold it" for one in case.ingredients.missing
    ]
    said = dict[str, list[str]]()
    for record in case.ingredients.records:
        for note in record.notes:
            said.setdefault(note, []).append(f"{record.subject} ({record.id[:8]})")
    return (*gaps, *(f"{note}: {', '.join(of)}" for note, of in said.items()))
