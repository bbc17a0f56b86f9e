"""Exported pipelines are signed once their record is in the ledger: the signature binds the weights to that record.

It is written beside the export, as `artifacts/NAME.model.sig` (in the folder it would change what DVC keeps), and into
the ledger, as `signatures/RECORD.json`, from where `easel verify` takes it for a model that lies elsewhere.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from components.lineage.record import Item, Record
from flows.console import remark
from flows.reports import write_durably

if TYPE_CHECKING:
    from components.lineage.log import Ledger

PIPELINE_FILE = "model_index.json"
"""What every exported pipeline holds."""


class SigningError(ValueError):
    """An export that must not be signed; one line says why."""


def sign_or_remark(root: Path, ledger: "Ledger", record: Record) -> None:
    """`sign_exports`; what stands in its way is one remark, since the record is in the ledger already."""
    try:
        sign_exports(root, ledger, record)
    except (ValueError, OSError) as error:
        remark(f"{record.subject}: not signed: {error}")


def sign_exports(root: Path, ledger: "Ledger", record: Record) -> tuple[Path, ...]:
    """Sign every pipeline that `record` says was written, and return the signatures' files; none for other stages.

    Raises:
        SigningError: a pipeline is not what the record says. LedgerError: there is no key.
    """
    exports = [item for item in record.outputs if (root / item.path / PIPELINE_FILE).is_file()]
    if not exports:
        return ()
    from components.lineage.chain import binding
    from components.lineage.graph import Graph
    from components.lineage.model_signature import sign_model, signature_file
    from flows.lineage.ledger import signer

    entries, records = zip(*ledger.records(), strict=True)
    key, bound = signer(root), binding(Graph(records, [entry.record_id for entry in entries]), record)
    written = list[Path]()
    for item in exports:
        bundle = sign_model(root / item.path, key, bound)
        _check_signed(item, bundle, key.public_pem)
        ledger.store.create(kept_signature(record.id), bundle)
        file = signature_file(root / item.path)
        write_durably(file, bundle.decode())
        written.append(file)
    return tuple(written)


def bring_back_signatures(root: Path, ledger: "Ledger", paths: Iterable[str], record_id: str) -> None:
    """Put the record's signature beside every pipeline among `paths`; sign where the ledger keeps none.

    A pipeline that came out of a cache has none beside it, or that of the pipeline which was there before.
    """
    for folder in (root / path for path in paths):
        if (folder / PIPELINE_FILE).is_file():
            from components.lineage.model_signature import signature_file

            beside, kept = signature_file(folder), ledger.blob(kept_signature(record_id))
            if kept is None:
                sign_or_remark(root, ledger, ledger.find(record_id))
            elif not beside.is_file() or beside.read_bytes() != kept:
                write_durably(beside, kept.decode())


def kept_signature(record_id: str) -> str:
    """Where the ledger keeps the signature of the model that a record wrote."""
    return f"signatures/{record_id}.json"


def _check_signed(item: Item, bundle: bytes, public_pem: bytes) -> None:
    """Whether what was signed is what was recorded, and was not changed in between."""
    from components.lineage.folder_digests import tree_digest
    from components.lineage.model_signature import read_statement

    if tree_digest(read_statement(bundle, public_pem).files) != item.sha256:
        raise SigningError(f"{item.path}: not what its record says; it is not signed. Run its stage again")
