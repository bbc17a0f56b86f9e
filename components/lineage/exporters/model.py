"""The neutral picture that every exporter reads: things, what happened to them, people, and the edges between.

A thing is named by the SHA-256 of its bytes (a sample set by its Merkle root), an event by its record's id, a person by
name. The picture is a pure function of records: the same records give the same picture, whatever order they come in.
"""

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal, cast

from components.lineage.record import Item, Record

PRODUCER = "urn:easel:ledger:1"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:easel:lineage")

Kind = Literal["model", "data", "samples", "sample", "document"]
EdgeKind = Literal[
    "used", "generated", "informed", "associated", "derived", "attributed", "trained_on", "tested_on", "invalidated"
]
NO_BUILD = frozenset({"accept", "promotion", "rollback", "takedown", "override"})
"""Kinds of events that make no bytes: decisions."""
_MODEL_ROLES = frozenset({"model", "pipeline", "init", "autoencoder", "classifier", "scorer", "weights"})
_DOCUMENT_ROLES = frozenset({"report", "receipt", "grids", "metrics", "card", "reference", "checked"})
_DOCUMENT_ENDINGS = frozenset({".html", ".json", ".md", ".png", ".txt", ".yaml"})
_NO_PERSON = frozenset({"reason", "policy", "policy_version", "host", "note", "why"})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SAMPLE_KEYS = frozenset({"sample", "samples", "sample_id", "sample_ids", "sha256", "matches", "excluded"})


@dataclass(frozen=True)
class Thing:
    """Bytes, or a set of samples, that events used or made; `name` is its first role, `path` where it then lay."""

    id: str
    kind: Kind
    name: str
    path: str = ""
    size: int = 0
    count: int = 1
    licences: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class Event:
    """A record: a stage that ran, or a decision. All values are text, nested names joined by dots."""

    id: str
    kind: str
    name: str
    started_at: str
    ended_at: str
    facts: Mapping[str, str]
    parameters: Mapping[str, str]
    measures: Mapping[str, str]
    checks: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, order=True)
class Edge:
    """`source` stands to `target` as `kind` says, in PROV's direction: from the later to the earlier."""

    kind: EdgeKind
    source: str
    target: str
    role: str = ""


@dataclass(frozen=True)
class Outline:
    """What must survive an export and its import: the nodes and the edges."""

    things: frozenset[str]
    events: frozenset[str]
    people: frozenset[str]
    edges: frozenset[Edge]


@dataclass(frozen=True)
class Picture:
    """Everything that a document says; `subject` is the id of the record that it is about."""

    subject: str
    things: tuple[Thing, ...]
    events: tuple[Event, ...]
    people: tuple[str, ...]
    edges: tuple[Edge, ...]

    @property
    def outline(self) -> Outline:
        """Its nodes and edges as sets."""
        things, events = (frozenset(one.id for one in group) for group in (self.things, self.events))
        return Outline(things, events, frozenset(self.people), frozenset(self.edges))

    @property
    def about(self) -> Event:
        """The event that the document is about."""
        return next(event for event in self.events if event.id == self.subject)

    @property
    def made_at(self) -> str:
        """When the last of its events ended: the time of the document, which no clock decides."""
        return max(event.ended_at for event in self.events)

    def thing(self, name: str) -> Thing:
        """The thing of that id."""
        return next(thing for thing in self.things if thing.id == name)

    def targets(self, kind: EdgeKind, source: str) -> list[str]:
        """Where the edges of a kind from `source` lead, each once, in order."""
        return list(dict.fromkeys(edge.target for edge in self.edges if edge.kind == kind and edge.source == source))

    def sources(self, kind: EdgeKind, target: str) -> list[str]:
        """Where the edges of a kind to `target` come from, each once, in order."""
        return list(dict.fromkeys(edge.source for edge in self.edges if edge.kind == kind and edge.target == target))

    def event(self, name: str) -> Event:
        """The event of that id."""
        return next(event for event in self.events if event.id == name)

    def makers(self, thing: str) -> list[Event]:
        """The events that made a thing."""
        return [self.event(name) for name in self.targets("generated", thing)]

    def evidence(self, thing: str) -> list[Thing]:
        """The documents that whoever made a thing read, or wrote beside it."""
        found = dict[str, None]()
        for maker in self.makers(thing):
            found |= dict.fromkeys([*self.targets("used", maker.id), *self.sources("generated", maker.id)])
        return [one for one in map(self.thing, found) if one.kind == "document"]

    def measures(self, thing: str) -> dict[str, str]:
        """What was measured of a model: by its maker, by who read it, and by who wrote the evidence beside it."""
        events = [*self.makers(thing), *(self.event(name) for name in self.sources("used", thing))]
        events += [maker for one in self.evidence(thing) for maker in self.makers(one.id)]
        return {f"{event.name}.{key}": value for event in events for key, value in event.measures.items()}

    def of_kind(self, *kinds: Kind) -> list[Thing]:
        """The things of these kinds."""
        return [thing for thing in self.things if thing.kind in kinds]

    @property
    def roots(self) -> list[Thing]:
        """What it is about: the models that the subject made, else whatever it made, else what it used."""
        made = [edge.source for edge in self.edges if edge.kind == "generated" and edge.target == self.subject]
        used = self.targets("used", self.subject)
        for wanted in (("model",), ("data", "samples"), ("document", "sample")):
            if found := [thing for thing in self.things if thing.id in made and thing.kind in wanted]:
                return found
        return [thing for thing in self.things if thing.id in used]

    def all_training_data(self, model: str) -> list[str]:
        """What a model was trained on, itself or as one of the models that it is derived from; each once, in order."""
        models, found, waiting = {thing.id for thing in self.of_kind("model")}, dict[str, None](), [model]
        seen = set[str]()
        while waiting:
            one = waiting.pop(0)
            seen.add(one)
            found |= dict.fromkeys(self.targets("trained_on", one))
            waiting += [other for other in self.targets("derived", one) if other in models and other not in seen]
        return list(found)


def picture(records: Sequence[Record], subject: str) -> Picture:
    """The picture of `records` (a record, all that it stands on, decisions about them), about the record `subject`.

    Raises:
        ValueError: `subject` is none of them.
    """
    ordered = sorted({record.id: record for record in records}.values(), key=lambda one: (one.ended_at, one.id))
    if subject not in {record.id for record in ordered}:
        raise ValueError(f"record {subject[:12]} is not among the {len(ordered)} records to export; resolve it first")
    things, edges = dict[str, Thing](), set[Edge]()
    for record in ordered:
        for thing in _things(record):
            things[thing.id] = _joined(things.get(thing.id), thing)
    for record in ordered:
        edges |= _event_edges(record, {one.id for one in ordered}) | _set_edges(record, edges)
    edges |= {edge for record in ordered for edge in _thing_edges(record, things, edges)}
    people = sorted({edge.target for edge in edges if edge.kind == "associated"})
    events = tuple(_event(record) for record in ordered)
    return Picture(subject, tuple(things[key] for key in sorted(things)), events, tuple(people), tuple(sorted(edges)))


def flat(value: Any, name: str = "") -> dict[str, str]:
    """Nested values as text by dotted name: {"a": {"b": [1, 2]}} is {"a.b.0": "1", "a.b.1": "2"}."""
    match value:
        case Mapping():
            pairs = [
                (f"{name}.{key}" if name else str(key), one) for key, one in cast(Mapping[Any, Any], value).items()
            ]
        case list() | tuple():
            pairs = [(f"{name}.{number}", one) for number, one in enumerate(cast(Sequence[Any], value))]
        case None:
            return {}
        case bool():
            return {name: "true" if value else "false"}
        case _:
            return {name: str(value)}
    return {key: text for where, one in pairs for key, text in flat(one, where).items()}


def uuid_of(*parts: str) -> str:
    """A UUID that depends on `parts` alone (version 5)."""
    return str(uuid.uuid5(NAMESPACE, "\n".join(parts)))


def people_of(record: Record) -> dict[str, str]:
    """Who took part, by role, as the record's `people` names them."""
    texts = {role: text.strip() for role, text in flat(record.people).items()}
    return {role: text for role, text in texts.items() if text and role.split(".")[0] not in _NO_PERSON}


def _event(record: Record) -> Event:
    kept = record.model_dump(mode="json", include={"fingerprint", "attempt", "place", "code", "environment"})
    kept |= record.model_dump(mode="json", include={"decision", "systems", "is_promotable", "people"})
    samples = record.samples
    consumed = [one.model_dump(mode="json") for one in samples.consumed]
    kept["samples"] = {"dropped": samples.dropped, "derived": samples.derived, "consumed": consumed}
    kept["samples"] |= {"opt_out": samples.opt_out} if samples.opt_out else {}
    checks = {check.name: _verdict(check.is_passed, check.waived_by) for check in record.checks}
    return Event(
        *(record.id, record.kind, record.subject, record.started_at, record.ended_at),
        facts=dict(sorted(flat(kept).items())),
        parameters=dict(sorted(flat(record.parameters).items())),
        measures=dict(sorted(record.measures.items())),
        checks=dict(sorted(checks.items())),
        notes=record.notes,
    )


def _verdict(is_passed: bool, waived_by: str) -> str:
    return "passed" if is_passed else f"failed, waived by {waived_by}" if waived_by else "failed"


def _things(record: Record) -> Iterable[Thing]:
    for item in (*record.outputs, *record.inputs):
        yield Thing(item.sha256, _kind(item), item.role, item.path, item.size, item.count, dict(item.licences))
    for one in record.samples.sets:
        yield Thing(one.root, "samples", one.role, f"sets/{one.root}", 32 * one.count, one.count)
    for sample in _invalidated(record):
        yield Thing(sample, "sample", "sample")


def _joined(known: Thing | None, thing: Thing) -> Thing:
    """The thing as it was first told of, with the licences of whichever told them; a model stays one for all roles."""
    if known is None or known == thing:
        return thing
    if known.kind == "sample":
        return thing
    licences = known.licences or thing.licences
    kind = "model" if "model" in (known.kind, thing.kind) else known.kind
    return Thing(known.id, kind, known.name, known.path, known.size, known.count, licences)


def _kind(item: Item) -> Kind:
    path = PurePosixPath(item.path)
    is_exported = path.name.startswith("export") and not path.suffix
    if item.role in _MODEL_ROLES or is_exported or "models" in path.parts[:-1] or path.suffix == ".safetensors":
        return "model"
    return "document" if item.role in _DOCUMENT_ROLES or path.suffix in _DOCUMENT_ENDINGS else "data"


def _event_edges(record: Record, known: set[str]) -> set[Edge]:
    me = record.id
    edges = {Edge("used", me, item.sha256, item.role) for item in record.inputs}
    edges |= {Edge("generated", item.sha256, me, item.role) for item in record.outputs}
    named = (*record.parents, *(item.made_by for item in record.inputs))
    edges |= {Edge("informed", me, parent) for parent in named if parent in known}
    edges |= {Edge("associated", me, person, role) for role, person in people_of(record).items()}
    return edges | {Edge("invalidated", sample, me) for sample in _invalidated(record)}


def _set_edges(record: Record, earlier: set[Edge]) -> set[Edge]:
    """A set is made where it first appears, unless a training (which only draws) or a source (`received`) names it."""
    is_made = {edge.source for edge in earlier if edge.kind == "generated"}
    is_training = record.sample_set("drawn") is not None or bool(record.samples.consumed)
    edges = set[Edge]()
    for one in record.samples.sets:
        is_used = is_training or one.role in ("received", "drawn") or one.root in is_made
        ends = (record.id, one.root) if is_used else (one.root, record.id)
        edges.add(Edge("used" if is_used else "generated", *ends, one.role))
    return edges


def _thing_edges(record: Record, things: Mapping[str, Thing], edges: set[Edge]) -> Iterable[Edge]:
    """What follows from the events: derivations, whose it is, and what a model was trained and tested on."""
    made = [item.sha256 for item in record.outputs if things[item.sha256].kind != "document"]
    read = [item.sha256 for item in record.inputs if things[item.sha256].kind != "document"]
    yield from (Edge("derived", one, other) for one in made for other in read if one != other)
    yield from (Edge("attributed", one, person) for one in made for person in people_of(record).values())
    models = [one for one in made if things[one].kind == "model"]
    sets = {one.role: one.root for one in record.samples.sets}
    drawn = sets.get("drawn") or sets.get("offered")
    if models and drawn:
        data = [drawn, *(one for one in read if things[one].kind == "data")]
        yield from (Edge("trained_on", model, one) for model in models for one in data)
    if held_out := sets.get("held_out"):
        tested = models or [one for one in read if things[one].kind == "model" and record.measures]
        yield from (Edge("tested_on", model, held_out) for model in tested)


def _invalidated(record: Record) -> list[str]:
    """The samples that a takedown names, by digest."""
    if record.kind != "takedown":
        return []
    named = flat({key: value for key, value in record.decision.items() if key in _SAMPLE_KEYS})
    return sorted({text for text in named.values() if _SHA256.fullmatch(text)})
