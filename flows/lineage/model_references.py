"""From what a person types (`turbo:3`, `export_turbo`, `artifacts/latents`, an id) to the record in the ledger.

The ledger itself is asked first, then the workspace, and MLflow only for versions and aliases, which it alone knows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from components.lineage.folder_digests import path_digest
from components.lineage.graph import Graph, GraphError
from components.lineage.record import Record
from flows import settings
from flows.requests import FAMILIES, family_of

if TYPE_CHECKING:
    from components.lineage.log import Ledger

_TAG = "easel.fingerprint."


class UnknownReferenceError(ValueError):
    """A word that means no record; one line says what there is."""


def open_graph(root: Path) -> "tuple[Ledger, Graph]":
    """The workspace's ledger and its records as a graph."""
    from flows.lineage.ledger import open_ledger

    ledger = open_ledger(root)
    return ledger, Graph([record for _, record in ledger.records()])


def find_record(root: Path, graph: Graph, reference: str) -> Record:
    """The record that `reference` means: of its export for a model, of the stage that wrote it for a data set.

    Takes a family (`turbo`), a version or alias of it (`turbo:3`, `easel-turbo:3`, `turbo:candidate`), a bare version
    or alias, a folder or file (in the workspace by its path or that of the folder that it is part of, elsewhere by its
    bytes), a stage, a run's name, an MLflow run, a record's id.

    Raises:
        UnknownReferenceError: in one line, naming what there is.
    """
    if not len(graph):
        raise UnknownReferenceError(f"{reference}: {graph.offer()}")
    if reference == "latest" or (reference and reference in FAMILIES):
        return _at_path(root, graph, FAMILIES.get(reference, FAMILIES[""])[1].as_posix())
    path = PurePosixPath(_below(root, reference))
    for place in map(str, (path, *path.parents)):
        if graph.with_output(place) or graph.first_readers(place):
            return _at_path(root, graph, place)
    try:
        return graph.resolve(reference)
    except GraphError as error:
        registered = {name: export for name, export in FAMILIES.values()}
        if reference in registered:  # and nothing was decided about it yet
            return _at_path(root, graph, registered[reference].as_posix())
        if "/" in reference or Path(reference).exists():
            return _of_bytes(root, graph, Path(reference), str(error))
        return _of_version(root, graph, reference, str(error))


def export_of(root: Path, graph: Graph, reference: str) -> tuple[Record, str]:
    """The record that exported the model `reference`, and the export's path in the workspace.

    Raises:
        UnknownReferenceError: what is meant is no exported model.
    """
    record = find_record(root, graph, reference)
    exports = [export.as_posix() for _, export in FAMILIES.values()]
    is_about_one = record.kind != "stage" or any(item.path in exports for item in record.inputs)
    for one in (record, *(reversed(graph.above(record.id)) if is_about_one else ())):
        if path := next((item.path for item in one.outputs if item.path in exports), ""):
            return one, path
    known = ", ".join(["latest", *filter(None, FAMILIES), "turbo:3", "a version", "an alias"])
    raise UnknownReferenceError(f"{reference}: {record.subject} exports no model; give one of: {known}")


def _below(root: Path, reference: str) -> str:
    """The path in the workspace that a person's path means, seen from where they are or from the root; "" if none."""
    for base in (Path.cwd(), root):
        full = (base / reference).absolute()
        if full.exists() and full.is_relative_to(root.absolute()) and full != root.absolute():
            return full.relative_to(root.absolute()).as_posix()
    return ""


def _at_path(root: Path, graph: Graph, path: str) -> Record:
    """The record that wrote what the workspace holds at `path` (of a source, that first read it); else the newest."""
    found = graph.with_output(path) or graph.first_readers(path)
    if not found:
        raise UnknownReferenceError(
            f"{path}: no record tells of it; `easel lineage record` writes down what was made before there was a ledger"
        )
    if len({record.fingerprint for record in found}) > 1:
        from flows.freshness import fingerprint, lock_entries

        now = {fingerprint(entry) for entry in lock_entries(root).values()}
        found = tuple(record for record in found if record.fingerprint in now) or found
    return found[-1]


def _of_bytes(root: Path, graph: Graph, path: Path, unknown: str) -> Record:
    """The record that wrote what lies at `path`; a folder that holds the workspace is no data set, and not read."""
    if not path.exists() or root.absolute().is_relative_to(path.absolute()):
        raise UnknownReferenceError(unknown)
    if record := graph.made(path_digest(path)):
        return record
    raise UnknownReferenceError(f"{path}: no record made these bytes; {graph.offer()}")


def _of_version(root: Path, graph: Graph, reference: str, unknown: str) -> Record:
    """The record of the export that a registered version holds, found by the fingerprints that the version names."""
    name, export, wanted = family_of(reference)
    if not _has_store(root):
        raise UnknownReferenceError(unknown)
    from components.registry.versions import versions_of

    versions = versions_of(settings.tracking_uri(root), name)
    called = {"latest": versions[-1]} if versions else {}
    called |= {word: version for version in versions for word in (*version.aliases, str(version.number))}
    if wanted not in called:
        known = f"{name} has the versions and aliases {', '.join(called)}" if called else f"{name} has no version yet"
        is_named = wanted != reference  # a family was named, so that only its versions can be meant
        raise UnknownReferenceError(f"{reference}: {known}" if is_named else f"{unknown}; nor is it a model: {known}")
    tags = called[wanted].tags
    marks = {key.removeprefix(_TAG): mark for key, mark in tags.items() if key.startswith(_TAG)}
    if record := exported_with(graph.records, marks, export.as_posix()):
        return record
    raise UnknownReferenceError(
        f"{reference}: version {called[wanted].number} of {name} is registered, but no record tells how it was made; "
        "`easel lineage record` writes down what dvc.lock still holds of it"
    )


def exported_with(records: Sequence[Record], marks: Mapping[str, str], export: str) -> Record | None:
    """The newest record of an export whose stage and fingerprint are among `marks`, as a version's tags name them."""
    for record in reversed(records):
        is_export = any(item.path == export for item in record.outputs)
        if is_export and record.kind == "stage" and marks.get(record.subject) == record.fingerprint:
            return record
    return None


def _has_store(root: Path) -> bool:
    """Whether there is an MLflow store to ask; asking creates one where there is none."""
    uri = settings.tracking_uri(root)
    return not uri.startswith("sqlite:///") or Path(uri.removeprefix("sqlite:///")).is_file()
