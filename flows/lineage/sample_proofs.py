"""Documents which show that an image is, or is not, in a model's training or in a data set; and checking them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.lineage.sample_document import SampleDocument, Shown


def prove_sample(root: Path, text: str, reference: str) -> "SampleDocument":
    """About the image that `text` means (see `sample_names`), and the record that `reference` means.

    For a model it covers what every training that it stands on was offered, and drew; for a data set, its samples.

    Raises:
        ValueError: one of the words means nothing, or what is meant names no samples.
    """
    from components.lineage.sample_document import write_document
    from flows.lineage.model_references import find_record, open_graph
    from flows.lineage.sample_names import find_sample

    sample_id = find_sample(root, text)
    ledger, graph = open_graph(root)
    record = find_record(root, graph, reference)
    return write_document(ledger, graph, record.id, sample_id, reference)


def check_file(file: Path, trusted: Sequence[bytes]) -> "Shown":
    """What a document shows, by itself and the `trusted` public keys (PEM) alone: no ledger, no network.

    Raises:
        ValueError: the file is no such document, or not readable.
    """
    from components.lineage.sample_document import DocumentError, check_document, read_document

    try:
        data = file.read_bytes()
    except OSError as error:
        raise DocumentError(f"{file}: not readable ({error.strerror}); give what `easel lineage proof` wrote") from None
    try:
        return check_document(read_document(data), trusted)
    except DocumentError as error:
        raise DocumentError(f"{file}: {error}") from None


def document_text(document: "SampleDocument") -> str:
    """As JSON to hand out."""
    return json.dumps(document.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def shown_json(shown: "Shown") -> dict[str, Any]:
    """As a value for JSON."""
    sets = [{"stage": stage, "role": role, "is_in": is_in} for stage, role, is_in in shown.sets]
    fault = {"place": shown.fault.place, "message": shown.fault.message} if shown.fault else None
    log = {"key_id": shown.key_id, "signed_at": shown.signed_at, "size": shown.size}
    known = {"holds": fault is None, "fault": fault, "sample": shown.sample, "reference": shown.reference}
    answer = {"is_drawn": shown.is_drawn, "is_in_any": shown.is_in_any} if fault is None else {}
    return {**known, **answer, "sets": sets, "log": log}
