"""OpenLineage: START and COMPLETE of every event in the picture, one a line, as its client's file transport.

Read back into the same outline: roles, people and derivations stand in our own facets.
Source: https://openlineage.io/spec/2-0-2/OpenLineage.json.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from components.lineage.exporters.model import Edge, EdgeKind, Event, Outline, Picture, Thing, uuid_of
from components.lineage.exporters.records import picture as picture_of
from components.lineage.record import Record

if TYPE_CHECKING:
    from components.lineage.openlineage_events import Data

_OF_THINGS = ("derived", "attributed", "trained_on", "tested_on")


def export_openlineage(picture: Picture, namespace: str = "easel") -> str:
    """The picture as OpenLineage run events in `namespace`, one a line, in the order in which they happened."""
    from components.lineage.openlineage_events import Told, as_line, run_event

    lines, runs = list[tuple[str, int, str]](), set[str]()
    for number, event in enumerate(picture.events):
        job, run, parent = _run_of(event, namespace)
        run = run if run not in runs else uuid_of("run", event.id)
        runs.add(run)
        about = _about(picture, event)
        told = Told(job, run, parent, namespace, about=about)
        begun = replace(told, parameters=event.parameters, about={**about, "facts": {}, "measures": {}, "checks": {}})
        read, made = _read(picture, event), _made(picture, event)
        start = run_event("START", event.started_at, begun, inputs=read)
        complete = run_event("COMPLETE", event.ended_at, told, inputs=read, outputs=made)
        lines += [(event.started_at, 2 * number, as_line(start)), (event.ended_at, 2 * number + 1, as_line(complete))]
    return "".join(f"{line}\n" for _, _, line in sorted(lines))


def facts_of_run(record: Record) -> "tuple[dict[str, Any], Mapping[str, str], list[Data], list[Data]]":
    """What a record adds to the events of its run: facts, parameters, inputs and outputs."""
    alone = picture_of([record], record.id)
    return _about(alone, alone.about), alone.about.parameters, _read(alone, alone.about), _made(alone, alone.about)


def read_openlineage(text: str) -> Outline:
    """The outline of what `export_openlineage` wrote.

    Raises:
        ValueError: a line is no event, or none that we wrote; the message names the line.
    """
    from components.lineage.openlineage_events import OF_DATA, OF_RUN

    things, events, people, edges = set[str](), set[str](), set[str](), set[Edge]()
    for number, line in enumerate(text.splitlines(), 1):
        try:
            event = json.loads(line)
            if event["eventType"] != "COMPLETE":
                continue
            about = event["run"]["facets"][OF_RUN]
            events.add(about["record"])
            people |= set(about["people"].values())
            edges |= _edges_of_run(about)
            for dataset, kind in _with_kind(event):
                things.add(dataset["facets"][OF_DATA]["sha256"])
                edges |= _edges_of_thing(about["record"], dataset["facets"][OF_DATA], kind)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"line {number} is no OpenLineage event of ours: {error!r}") from None
    return Outline(frozenset(things), frozenset(events), frozenset(people), frozenset(edges))


def _run_of(event: Event, namespace: str) -> tuple[str, str, str]:
    """Job, run and parent run of an event: those that were told live, where its record says in which build it was."""
    from components.lineage.openlineage_events import BUILD_JOB, build_run, stage_run

    build = event.facts.get("systems.build", "")
    host = event.facts.get("place.host") or event.facts.get("people.service", "").rpartition("@")[2]
    match event.kind:
        case "run":
            return BUILD_JOB, build_run(namespace, build or event.name, host), ""
        case "stage" if build:
            return event.name, stage_run(namespace, build, host, event.name), build_run(namespace, build, host)
        case _:
            return event.name, uuid_of("run", event.id), ""


def _about(picture: Picture, event: Event) -> dict[str, Any]:
    people = {edge.role: edge.target for edge in picture.edges if edge.kind == "associated" and edge.source == event.id}
    return {
        "record": event.id,
        "kind": event.kind,
        "people": people,
        "parents": picture.targets("informed", event.id),
        "facts": dict(event.facts),
        "measures": dict(event.measures),
        "checks": dict(event.checks),
        "notes": list(event.notes),
    }


def _read(picture: Picture, event: Event) -> "list[Data]":
    roles = defaultdict[str, list[str]](list)
    for edge in picture.edges:
        if edge.kind == "used" and edge.source == event.id:
            roles[edge.target].append(edge.role)
    return [_data(picture, picture.thing(name), roles[name]) for name in roles]


def _made(picture: Picture, event: Event) -> "list[Data]":
    roles, gone = defaultdict[str, list[str]](list), set[str]()
    for edge in picture.edges:
        if edge.target == event.id and edge.kind in ("generated", "invalidated"):
            roles[edge.source] += [edge.role] if edge.kind == "generated" else []
            gone |= {edge.source} if edge.kind == "invalidated" else set()
    return [_data(picture, picture.thing(name), roles[name], is_dropped=name in gone) for name in roles]


def _data(picture: Picture, thing: Thing, roles: Iterable[str], *, is_dropped: bool = False) -> "Data":
    from components.lineage.openlineage_events import Data

    edges = {kind: picture.targets(kind, thing.id) for kind in _OF_THINGS}
    about: dict[str, Any] = {"kind": thing.kind, "sha256": thing.id, "roles": list(roles), "size": thing.size}
    about |= {"count": thing.count, "licences": dict(thing.licences), "edges": {k: v for k, v in edges.items() if v}}
    name = thing.path or f"samples/{thing.id}"
    return Data(name, thing.id, edges["attributed"], is_dropped, about)


def _with_kind(event: Mapping[str, Any]) -> Iterable[tuple[Mapping[str, Any], EdgeKind]]:
    for dataset in event.get("inputs", ()):
        yield dataset, "used"
    for dataset in event.get("outputs", ()):
        yield dataset, "invalidated" if "lifecycleStateChange" in dataset["facets"] else "generated"


def _edges_of_run(about: Mapping[str, Any]) -> set[Edge]:
    me = about["record"]
    edges = {Edge("informed", me, parent) for parent in about["parents"]}
    return edges | {Edge("associated", me, person, role) for role, person in about["people"].items()}


def _edges_of_thing(record: str, facet: Mapping[str, Any], kind: EdgeKind) -> set[Edge]:
    me = facet["sha256"]
    ends = (record, me) if kind == "used" else (me, record)
    edges = {Edge(kind, *ends, role) for role in facet["roles"] or ([""] if kind == "invalidated" else [])}
    told = cast("Mapping[EdgeKind, list[str]]", facet["edges"])
    return edges | {Edge(name, me, target) for name, targets in told.items() for target in targets}
