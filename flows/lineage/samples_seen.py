"""Which data sets, trainings, models and live aliases saw a sample, and whether it was drawn or only offered.

The ledger answers: first the sets that the sample is in, then what the weights of those trainings became. Only two
things are asked elsewhere, where they are there to ask: why the sample was dropped (the table of verdicts, if it is
the one that the record names), and which version an alias points to now (MLflow).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.lineage.graph import Graph
from components.lineage.record import Item, Record
from flows import settings
from flows.requests import FAMILIES

if TYPE_CHECKING:
    from components.lineage.index import Index
    from components.registry.versions import Told

VERDICTS = "artifacts/tables/verdicts.parquet"
_EXPORTS = tuple(export.as_posix() for _, export in FAMILIES.values())
_INEXACT = "all that was offered counts as drawn"


@dataclass(frozen=True)
class Sighting:
    """A sample set that the sample is in: `role` as in `components.lineage.record.SampleSet`."""

    record: str
    subject: str
    role: str
    at: str


@dataclass(frozen=True)
class Training:
    """A training that could draw the sample, and whether it did; `is_exact` is False where all offered counts as drawn.

    `run` is the MLflow run.
    """

    record: str
    stage: str
    is_drawn: bool
    is_exact: bool
    run: str
    at: str


@dataclass(frozen=True)
class Model:
    """Weights that a training which was offered the sample wrote, or that were made of such weights.

    `drawn_by`, `offered_by`: the stages of those trainings.
    """

    path: str
    sha256: str
    record: str
    stage: str
    drawn_by: tuple[str, ...]
    offered_by: tuple[str, ...]


@dataclass(frozen=True)
class Version:
    """A registered version that holds such a model, and the aliases that point to it now."""

    name: str
    number: int
    aliases: tuple[str, ...]
    drawn_by: tuple[str, ...]
    record: str


@dataclass(frozen=True)
class Dropped:
    """Where the sample was dropped, and why; "" where nothing tells any more."""

    record: str
    subject: str
    reason: str


@dataclass(frozen=True)
class Seen:
    """All of it; `versions` is None where the registry could not be asked, with the reason in `unanswered`."""

    sample_id: str
    sightings: tuple[Sighting, ...]
    trainings: tuple[Training, ...]
    dropped: tuple[Dropped, ...]
    models: tuple[Model, ...]
    decisions: tuple[str, ...]
    versions: tuple[Version, ...] | None = None
    unanswered: str = ""

    @property
    def drawn_by(self) -> tuple[str, ...]:
        """The stages that drew it, in the log's order."""
        return _once(one.stage for one in self.trainings if one.is_drawn)


class Answers:
    """Answers from one state of the ledger; the records are read once."""

    def __init__(self, root: Path, index: "Index") -> None:
        self._root, self._index = root, index
        self.graph = Graph(index.records())

    def seen(self, sample_id: str) -> Seen:
        """What the ledger tells of the sample; the registry is not asked."""
        sets = [(self.graph.record(record), record, role) for record, role in self._index.sets_of(sample_id)]
        sightings = tuple(Sighting(record, found.subject, role, found.ended_at) for found, record, role in sets)
        trainings = tuple(self._trainings(sets))
        models = tuple(self._models(trainings))
        return Seen(
            sample_id, sightings, trainings, tuple(self._dropped(sample_id, sets)), models, self._decisions(models)
        )

    def _trainings(self, sets: Sequence[tuple[Record, str, str]]) -> Iterable[Training]:
        roles = dict[str, set[str]]()
        for found, record, role in sets:
            if found.samples.consumed or found.sample_set("drawn"):
                roles.setdefault(record, set()).add(role)
        for record, held in roles.items():
            if held & {"offered", "drawn"}:
                found = self.graph.record(record)
                is_exact = not any(note.startswith(_INEXACT) for note in found.notes)
                run = found.systems.get("mlflow_run", "")
                yield Training(record, found.subject, "drawn" in held, is_exact, run, found.ended_at)

    def _models(self, trainings: Sequence[Training]) -> Iterable[Model]:
        """Weights of these trainings, and all that was made of them, in the log's order."""
        drawn, offered = dict[int, list[str]](), dict[int, list[str]]()
        for one in trainings:
            for place in self._below(one.record):
                (drawn if one.is_drawn else offered).setdefault(place, []).append(one.stage)
        for place in sorted({*drawn, *offered}):
            record = self.graph.records[place]
            by = _once(drawn.get(place, ())), _once(offered.get(place, ()))
            for item in filter(_is_weights, record.outputs):
                yield Model(item.path, item.sha256, self.graph.ids[place], record.subject, *by)

    def _below(self, record_id: str) -> list[int]:
        """The places of the records whose weights stand on those of this record, itself first."""
        found, edge = {self.graph.index(record_id)}, [self.graph.record(record_id)]
        while edge:
            written = [item for record in edge for item in filter(_is_weights, record.outputs)]
            readers = [reader for item in written for reader in self.graph.consumers(item.sha256)]
            edge = [reader for reader in readers if any(map(_is_weights, reader.outputs))]
            edge = [reader for reader in edge if self.graph.index(reader.id) not in found]
            found |= {self.graph.index(reader.id) for reader in edge}
        return sorted(found)

    def _dropped(self, sample_id: str, sets: Sequence[tuple[Record, str, str]]) -> Iterable[Dropped]:
        """Where it was received or kept before, and was not kept any more."""
        held = {(record, role) for _, record, role in sets}
        for found, record, role in sets:
            if role == "received" and found.sample_set("kept") and (record, "kept") not in held:
                yield Dropped(record, found.subject, "")
            if role == "kept":
                for below in self.graph.children(record):
                    after = self.graph.record(below)
                    if after.sample_set("kept") and (below, "kept") not in held:
                        yield Dropped(below, after.subject, _reason(self._root, after, sample_id))

    def _decisions(self, models: Sequence[Model]) -> tuple[str, ...]:
        """Ids of the decisions about exports among the models."""
        exports = _once(model.record for model in models if model.path in _EXPORTS)
        below = (one for record in exports for one in self.graph.below(record))
        return _once(one.id for one in below if one.kind not in ("stage", "run"))


def registered(root: Path, seen: Sequence[Seen], graph: Graph) -> list[Seen]:
    """The answers with the versions that hold one of their exports, as the registry has them now.

    Where the registry does not answer, they say so instead.
    """
    uri = settings.tracking_uri(root)
    if not any(model.path in _EXPORTS for one in seen for model in one.models):
        return [replace(one, versions=()) for one in seen]
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        return [replace(one, unanswered="live aliases are not known: this workspace has no registry") for one in seen]
    try:
        told = _ask(uri)
    except ConnectionError as error:
        return [replace(one, unanswered=f"live aliases are not known: {error}") for one in seen]
    return [replace(one, versions=_versions(graph, one.models, told)) for one in seen]


def _ask(uri: str) -> "list[Told]":
    settings.go_quiet({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"})
    from components.registry.versions import versions_of

    return [told for name, _ in FAMILIES.values() for told in versions_of(uri, name)]


def _versions(graph: Graph, models: Sequence[Model], told: "Sequence[Told]") -> tuple[Version, ...]:
    """A version names the stage that exported it, and what that was made from, in its tags."""
    family = {export.as_posix(): name for name, export in FAMILIES.values()}
    found = dict[tuple[str, int], Version]()
    for model in models:
        mark = graph.record(model.record).fingerprint
        for one in told:
            same = mark and one.tags.get(f"easel.fingerprint.{model.stage}") == mark
            if same and one.name == family.get(model.path):
                version = Version(one.name, one.number, one.aliases, model.drawn_by, model.record)
                found[one.name, one.number] = version
    return tuple(found[key] for key in sorted(found))


def _is_weights(item: Item) -> bool:
    return item.path.startswith("artifacts/models/") or item.path in _EXPORTS


def _reason(root: Path, record: Record, sample_id: str) -> str:
    """Why the stage of the record dropped the sample: by its own table, if the workspace still has that very one."""
    item = next((one for one in record.outputs if one.path == VERDICTS), None)
    file = root / VERDICTS
    if item is None or not file.is_file() or _sha256(file) != item.sha256:
        return ""
    import pyarrow.parquet as pq

    rows = pq.read_table(file, columns=["sample_id", "reason"], filters=[("sample_id", "=", sample_id)])
    return str(rows.column("reason")[0].as_py() or "") if rows.num_rows else ""


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def facts_json(seen: Seen) -> Mapping[str, Any]:
    """As a value for JSON."""
    return {**asdict(seen), "drawn_by": list(seen.drawn_by), "is_known": bool(seen.sightings)}
