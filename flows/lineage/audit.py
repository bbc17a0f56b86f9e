"""The audit summary of a model of this workspace: written from the ledger, and checked before anyone reads it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.lineage.settings import provider_file

if TYPE_CHECKING:
    from components.lineage.audit.document import Document
    from components.lineage.graph import Graph
    from components.lineage.log import Ledger
    from components.lineage.record import Record

SUFFIXES = {"html": "html", "markdown": "md", "json": "json"}


def summary(root: Path, model: str, form: str, provider: Path | None) -> tuple[str, "Document", int]:
    """The document about `model` as text of that form, the document, and how many of its figures were checked.

    Raises:
        ValueError: no such model; a statement that cannot be read; a figure that the ledger does not bear out.
    """
    from components.lineage.audit.build import audit_document
    from components.lineage.audit.figures import check_links
    from components.lineage.audit.provider import read_provider
    from components.lineage.graph import Graph
    from flows.lineage.ledger import open_ledger

    ledger = open_ledger(root)
    graph = Graph([record for _, record in ledger.records()])
    record = subject_of(root, graph, model)
    head = ledger.head()
    tables, said = catalogues(root, graph), provider or provider_file()
    document = audit_document(
        graph,
        record,
        ledger,
        tables=tables,
        provider=read_provider(said) if said else None,
        words=readme_of(root, record),
        head=(head.size, head.root) if head else (-1, ""),
    )
    checked = check_links(document, ledger, tables)
    return _text(document, ledger, form), document, checked


def check_summary(root: Path, file: Path) -> int:
    """Compare every figure of a summary in JSON with the ledger as it is now; how many there were.

    Raises:
        ValueError: names the first figure that the ledger does not bear out.
    """
    from components.lineage.audit.figures import check_figures, read_figures
    from components.lineage.graph import Graph
    from flows.lineage.ledger import open_ledger

    try:
        written = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: no JSON: {error}") from None
    ledger = open_ledger(root)
    graph = Graph([record for _, record in ledger.records()])
    return check_figures(read_figures(written), ledger, catalogues(root, graph))


def subject_of(root: Path, graph: "Graph", model: str) -> "Record":
    """The record that exported the model; for what is no exported model (a stage, a checkpoint) its own record."""
    from flows.lineage.model_references import UnknownReferenceError, export_of, find_record

    try:
        return export_of(root, graph, model)[0]
    except UnknownReferenceError:
        return find_record(root, graph, model)


def catalogues(root: Path, graph: "Graph") -> dict[str, Path]:
    """The catalogues of the ledger's records whose bytes lie in this workspace now, by SHA-256."""
    from components.lineage.folder_digests import path_digest

    items = [item for record in graph.records for item in record.outputs if item.path.endswith("catalogue.parquet")]
    files = {path: root / path for path in dict.fromkeys(item.path for item in items)}
    here = {path: path_digest(file) for path, file in files.items() if file.is_file()}
    return {item.sha256: files[item.path] for item in items if here.get(item.path) == item.sha256}


def readme_of(root: Path, record: "Record") -> Mapping[str, str]:
    """Texts of the exported model's README by heading, if the folder here is the one that the record tells of."""
    from components.lineage.folder_digests import path_digest

    for item in record.outputs:
        file = root / item.path / "README.md"
        if file.is_file() and path_digest(root / item.path) == item.sha256:
            parts = re.split(r"^## (.+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            told = zip(parts[1::2], parts[2::2], strict=True)
            return {
                name.strip(): re.sub(r"\s+", " ", re.sub(r"^- ", "", text.strip(), flags=re.M)) for name, text in told
            }
    return {}


def _text(document: "Document", ledger: "Ledger", form: str) -> str:
    from components.lineage.audit.document import document_json
    from components.lineage.audit.figures import Evidence
    from components.lineage.audit.markdown import markdown

    row = Evidence(ledger).row
    match form:
        case "html":
            from html import escape

            from components.data.report.look import whole_page
            from components.lineage.audit.page import STYLE, page_body

            return whole_page(escape(document.title), STYLE, page_body(document, row))
        case "markdown":
            return markdown(document, row)
        case _:
            held: dict[str, Any] = document_json(document)
            return json.dumps(held, ensure_ascii=False, indent=2) + "\n"
