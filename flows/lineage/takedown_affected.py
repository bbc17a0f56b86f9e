"""What stood on images: records of data sets and runs, models and live aliases; and proofs where nothing did."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.lineage.chain import BrokenError, made_of
from components.lineage.graph import Graph
from components.lineage.manifest import contains, prove
from components.lineage.record import Record, SampleSet
from components.lineage.takedown import Affected
from flows import settings
from flows.freshness import fingerprint, lock_entries
from flows.lineage.takedown_logged import Showing
from flows.lineage.takedown_plan import Plan
from flows.requests import FAMILIES

if TYPE_CHECKING:
    from components.lineage.log import Ledger
    from components.registry.versions import Told

_TAG = "easel.fingerprint."
_RUN, _OFFERED = "drawn", "offered"
_PICTURED = frozenset({"received", "generated"})
"""Roles of pictures that a stage logs as they are: given to it in a file, or drawn by it."""


@dataclass(frozen=True)
class _Version:
    """A registered version, its live aliases, and whether its trainings drew an image or only could have."""

    name: str
    number: int
    aliases: tuple[str, ...]
    is_drawn: bool


def affected(root: Path, ledger: "Ledger", ids: Collection[str], plan: Plan) -> Affected:
    """Files and records that any of the images is in, records that stand on one, and the models that saw an image.

    Models are those with a training above their own weights that drew an image or was offered it. What only their
    evaluation read does not count. Where the ledger does not know the chain, all that stands on the data counts.
    """
    graph = Graph([record for _, record in ledger.records()])
    direct = [(one, role) for one in graph.records for role in _roles(ledger, one, ids)]
    reached = {record.id for record, _ in direct}
    reached |= {below.id for record, _ in direct for below in graph.below(record.id)}
    roles = dict[str, set[str]]()
    for record, role in direct:
        roles.setdefault(record.id, set()).add(role)
    # Made before there was a ledger: everything that dvc.lock knows stands on the data.
    is_unknown = bool(plan.raw) and not graph.records
    marks = {fingerprint(entry) for entry in lock_entries(root).values()} if is_unknown else set[str]()
    told = _registered(root) if roles or marks else []
    models = [found for one in told if (found := _version(one, graph, roles, marks))]
    return Affected(
        shards=tuple(plan.raw),
        records=tuple(sorted(reached)),
        datasets=tuple(sorted({record.id for record, _ in direct if not record.sample_set(_RUN)})),
        runs=tuple(sorted({run for record, role in direct if role == _RUN for run in _runs(record)})),
        models=tuple(f"{one.name}:{one.number}" for one in models),
        offered_only=tuple(f"{one.name}:{one.number}" for one in models if not one.is_drawn),
        aliases=tuple(f"{one.name}:{alias}" for one in models for alias in one.aliases),
        derived=plan.derived,
    )


def showing(ledger: "Ledger", ids: Collection[str]) -> Showing:
    """MLflow runs of records that an image is in, or that stand on one; and those that were given one, or drew it."""
    graph = Graph([record for _, record in ledger.records()])
    direct = {one.id: _roles(ledger, one, ids) for one in graph.records}
    reached = {below.id for one, roles in direct.items() if roles for below in (graph.record(one), *graph.below(one))}
    sheets = {one for one, roles in direct.items() if not _PICTURED.isdisjoint(roles)}
    return Showing(*(frozenset(run for one in ids for run in _runs(graph.record(one))) for ids in (reached, sheets)))


def is_in_a_set(ledger: "Ledger", sample_id: str) -> bool:
    """Whether any record's sample set holds the image."""
    return any(_holds_any(ledger, one, [sample_id]) for _, record in ledger.records() for one in record.samples.sets)


def absence(ledger: "Ledger", sample_id: str) -> str:
    """Proofs, as JSON, that the image is in no sample set of any record; every set once."""
    proofs = [
        {"record": record.id, "subject": record.subject, "role": one.role, "root": one.root}
        | {"proof": prove(ledger.sample_set(one.root), sample_id).to_json()}
        for record, one in _distinct_sets(ledger)
    ]
    return json.dumps({"sample": sample_id, "proofs": proofs}, indent=2) + "\n"


def _distinct_sets(ledger: "Ledger") -> Iterator[tuple[Record, SampleSet]]:
    seen = set[tuple[str, str]]()
    for _, record in ledger.records():
        for one in record.samples.sets:
            if (one.role, one.root) not in seen:
                seen.add((one.role, one.root))
                yield record, one


def _holds_any(ledger: "Ledger", one: SampleSet, ids: Collection[str]) -> bool:
    packed = ledger.sample_set(one.root)
    return any(contains(packed, sample_id) for sample_id in ids)


def _runs(record: Record) -> list[str]:
    return [value for key, value in record.systems.items() if key.startswith("mlflow") and value] or [record.id]


def _roles(ledger: "Ledger", record: Record, ids: Collection[str]) -> list[str]:
    """The roles of the record's sample sets that hold any of the images."""
    return [one.role for one in record.samples.sets if _holds_any(ledger, one, ids)]


def _registered(root: Path) -> "list[Told]":
    """Every version of every family; none where this workspace has no registry yet."""
    uri = settings.tracking_uri(root)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        return []
    settings.go_quiet()
    from components.registry.versions import versions_of

    return [told for name, _ in FAMILIES.values() for told in versions_of(uri, name)]


def _version(
    told: "Told", graph: Graph, roles: Mapping[str, Collection[str]], marks: Collection[str]
) -> _Version | None:
    """The version, if it saw an image: `roles` has the sets with one by record, `marks` what counts as drawn anyhow."""
    export = {name: path.as_posix() for name, path in FAMILIES.values()}[told.name]
    made_by = [one for one in graph.records if one.fingerprint and told.tags.get(_TAG + one.subject) == one.fingerprint]
    made_by = [one for one in made_by if one.sample_set(_RUN) or any(item.path == export for item in one.outputs)]
    held = {role for one in made_by for training in _trainings(graph, one) for role in roles.get(training.id, ())}
    is_drawn = _RUN in held or any(key.startswith(_TAG) and mark in marks for key, mark in told.tags.items())
    return _Version(told.name, told.number, told.aliases, is_drawn) if is_drawn or _OFFERED in held else None


def _trainings(graph: Graph, record: Record) -> list[Record]:
    """The trainings that the record's bytes came out of; all above it where a link between records is broken."""
    try:
        above = made_of(graph, record)
    except BrokenError:
        above = graph.above(record.id)
    return [one for one in (*above, record) if one.sample_set(_RUN)]
