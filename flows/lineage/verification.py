"""What `easel verify` verifies: which folder a word means, where its signature and its ledger lie, and every step."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.lineage.folder_digests import Told, folder_digests, tree_digest
from components.lineage.graph import Graph
from components.lineage.log import Ledger
from components.lineage.model_signature import signature_file
from components.lineage.verify import Step, Subject, steps
from flows.lineage.model_signing import PIPELINE_FILE, kept_signature
from flows.requests import FAMILIES

if TYPE_CHECKING:
    from components.lineage.store import Store


class VerificationError(ValueError):
    """There is nothing to verify; one line says what is missing."""


def subject_of(
    root: Path,
    model: str,
    *,
    keys: Sequence[Path] = (),
    place: str = "",
    is_quick: bool = False,
    tell: Told | None = None,
) -> Subject:
    """What a person means by `model`: a family, a version, an alias, a folder, a stage or a record.

    One of `keys` (public, PEM) must have signed each head and the model: several where a lost key was followed by
    another; without any, those that lie in the ledger are believed. `place` is the ledger, if not the workspace's own.

    Raises:
        ValueError: in one line: no such model, no signature, no such key.
    """
    from components.lineage.keys import canonical_pem

    ledger = Ledger(_store(root, place))
    folder = find_model(root, model, ledger)
    trusted = [canonical_pem(_key_bytes(key), str(key)) for key in keys]
    signature, bundle = find_signature(root, folder, ledger)
    return Subject(folder, signature, bundle, trusted, ledger, root, is_quick, tell)


def all_steps(subject: Subject) -> Iterator[Step]:
    """Every step from the weights to the source images, as soon as it holds.

    Raises:
        BrokenError: at the first that does not.
    """
    from flows.lineage.verify_images import check_images, check_opt_out

    yield from steps(subject)
    yield check_opt_out(subject)
    yield check_images(subject)


def find_model(root: Path, model: str, ledger: Ledger) -> Path:
    """The model's folder: the workspace's own export where that is what is meant, else the registry's.

    Raises:
        ValueError: in one line, naming what there is.
    """
    if model == "latest" or (model and model in FAMILIES):
        export = root / FAMILIES.get(model, FAMILIES[""])[1]
        if export.is_dir():
            return export
    for folder in (Path(model), root / model):
        if model and folder.is_dir():
            return folder
    from flows.lineage.model_references import export_of

    record, path = export_of(root, Graph([one for _, one in ledger.records()]), model)
    written = {item.sha256 for item in record.outputs}
    if (root / path).is_dir() and tree_digest(folder_digests(root / path)) in written:
        return root / path
    from flows.requests import model_directory

    if "/" in model or model in (record.subject, path) or record.id.startswith(model):
        raise VerificationError(f"{path}: does not hold what record {record.id[:16]} wrote; name its folder or version")
    return model_directory(root, model)


def find_signature(root: Path, folder: Path, ledger: Ledger) -> tuple[str, bytes]:
    """The name and the bytes of a model's signature: beside it, or in the ledger under the record that wrote it.

    Raises:
        VerificationError: there is none.
    """
    beside = signature_file(folder)
    if beside.is_file():
        return _shown(beside, root), beside.read_bytes()
    record = Graph([one for _, one in ledger.records()]).made(tree_digest(folder_digests(folder)))
    name = kept_signature(record.id) if record else ""
    if name and (found := ledger.blob(name)):
        return f"the ledger's {name}", found
    if not (folder / PIPELINE_FILE).is_file():
        raise VerificationError(
            f"{folder}: no exported model ({PIPELINE_FILE} is missing), and no {beside.name} beside it"
        )
    raise VerificationError(
        f"{folder}: not signed (no {beside.name} beside it, none in the ledger), or changed; "
        "`easel lineage record` signs what was exported"
    )


def _shown(file: Path, root: Path) -> str:
    full = file.absolute()
    return full.relative_to(root.absolute()).as_posix() if full.is_relative_to(root.absolute()) else str(file)


def _store(root: Path, place: str) -> "Store":
    if place.startswith("s3://"):
        from components.lineage.s3_store import S3Store

        return S3Store(place)
    if place:
        from components.lineage.store import FolderStore

        if not (Path(place) / "heads").is_dir():
            raise VerificationError(f"{place}: no ledger there (no folder heads/); name the folder that holds one")
        return FolderStore(Path(place))
    from flows.lineage.ledger import open_store

    return open_store(root)


def _key_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise VerificationError(f"{file}: cannot be read as a public key: {error.strerror}") from None
