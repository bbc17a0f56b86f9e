"""The neutral picture that every exporter reads: things, what happened to them, people, and the edges between.

A thing is named by the SHA-256 of its bytes (a sample set by its Merkle root), an event by its record's id, a person by
name. `records.picture` makes one.
"""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Literal, cast

PRODUCER = "urn:easel:ledger:1"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:easel:lineage")

Kind = Literal["model", "data", "samples", "sample", "document"]
EdgeKind = Literal[
    "used", "generated", "informed", "associated", "derived", "attributed", "trained_on", "tested_on", "invalidated"
]
NO_BUILD = frozenset({"accept", "promotion", "rollback", "takedown", "override"})
"""Kinds of events that make no bytes: decisions."""


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

    @property
    def is_folder(self) -> bool:
        """Whether its digest is of a list of files. Records do not say so of a folder with one file; its name does."""
        return self.count != 1 or (self.kind != "samples" and not PurePosixPath(self.path).suffix)

    @property
    def is_pipeline(self) -> bool:
        """Whether it is an exported pipeline; what task other models have, records do not say."""
        is_named_so = self.name == "pipeline" or PurePosixPath(self.path).name.startswith("export")
        return self.kind == "model" and is_named_so


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
        return self.event(self.subject)

    @cached_property
    def edition(self) -> str:
        """A UUID of all that it tells of: what the same subject's document is called once more has happened."""
        return uuid_of("edition", self.subject, *(event.id for event in self.events))

    @property
    def made_at(self) -> str:
        """When the last of its events ended: the time of the document, which no clock decides."""
        return max(event.ended_at for event in self.events)

    @cached_property
    def _by_id(self) -> tuple[dict[str, Thing], dict[str, Event]]:
        return {thing.id: thing for thing in self.things}, {event.id: event for event in self.events}

    @cached_property
    def _ends(self) -> tuple[dict[tuple[str, str], list[str]], dict[tuple[str, str], list[str]]]:
        """Targets by (kind, source), and sources by (kind, target), each once."""
        forth, back = defaultdict[tuple[str, str], list[str]](list), defaultdict[tuple[str, str], list[str]](list)
        for edge in self.edges:
            forth[edge.kind, edge.source].append(edge.target)
            back[edge.kind, edge.target].append(edge.source)
        once = [{key: list(dict.fromkeys(names)) for key, names in ends.items()} for ends in (forth, back)]
        return once[0], once[1]

    def thing(self, name: str) -> Thing:
        """The thing of that id."""
        return self._by_id[0][name]

    def targets(self, kind: EdgeKind, source: str) -> list[str]:
        """Where the edges of a kind from `source` lead, each once, in order."""
        return self._ends[0].get((kind, source), [])

    def sources(self, kind: EdgeKind, target: str) -> list[str]:
        """Where the edges of a kind to `target` come from, each once, in order."""
        return self._ends[1].get((kind, target), [])

    def event(self, name: str) -> Event:
        """The event of that id."""
        return self._by_id[1][name]

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
        """What was measured of a model: by its maker, and by whoever judged it or wrote the evidence beside it.

        Of several measurements of one name the last in time counts.
        """
        judges = [self.event(name) for name in self.sources("used", thing)]
        judges += [maker for one in self.evidence(thing) for maker in self.makers(one.id)]
        events = [*self.makers(thing), *(event for event in judges if self._judges(event.id))]
        events.sort(key=lambda event: (event.ended_at, event.id))
        return {f"{event.name}.{key}": value for event in events for key, value in event.measures.items()}

    def _judges(self, event: str) -> bool:
        """Whether an event only read models and wrote documents; one that makes more measures what it makes."""
        read, made = self.targets("used", event), self.sources("generated", event)
        is_new = any(self.thing(one).kind != "document" for one in made)
        return not is_new and any(self.thing(one).kind == "model" for one in read)

    def of_kind(self, *kinds: Kind) -> list[Thing]:
        """The things of these kinds."""
        return [thing for thing in self.things if thing.kind in kinds]

    @property
    def roots(self) -> list[Thing]:
        """What it is about: the models that the subject made, else whatever it made.

        A subject that made nothing (a run, a decision) is about what the records made that it stands on directly, and
        one that stands on none about what it used.
        """
        for events in ([self.subject], self.targets("informed", self.subject)):
            made = {name for event in events for name in self.sources("generated", event)}
            for wanted in (("model",), ("data", "samples"), ("document", "sample")):
                if found := [thing for thing in self.things if thing.id in made and thing.kind in wanted]:
                    return found
        return [self.thing(name) for name in self.targets("used", self.subject)]

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
