"""W3C PROV: things are entities, events are activities, people are agents; a takedown invalidates.

Written as PROV-JSON by the `prov` library, and read back into the same outline.
Source: PROV-DM, https://www.w3.org/TR/prov-dm/, and PROV-JSON, https://www.w3.org/submissions/prov-json/.
"""

import io
import json
import warnings
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

from components.lineage.exporters.model import Edge, EdgeKind, Event, Outline, Picture, Thing, uuid_of

if TYPE_CHECKING:
    from prov.identifier import QualifiedName
    from prov.model import ProvDocument, ProvRecord

THING, EVENT, PERSON, EASEL = "urn:easel:thing:", "urn:easel:record:", "urn:easel:person:", "urn:easel:terms:"
_PREFIXES = {"thing": THING, "record": EVENT, "person": PERSON, "easel": EASEL}


def export_prov(picture: Picture) -> str:
    """The picture as PROV-JSON, indented."""
    from prov.constants import PROV
    from prov.model import ProvDocument

    document = ProvDocument()
    for prefix, address in _PREFIXES.items():
        document.add_namespace(prefix, address)
    for thing in picture.things:
        kind = document.valid_qualified_name(f"easel:{thing.kind}")
        document.entity(f"thing:{thing.id}", {"prov:type": kind} | _about_thing(thing))
    for event in picture.events:
        told = {"prov:type": document.valid_qualified_name(f"easel:{event.kind}")}
        told |= _about_event(event, picture.subject)
        document.activity(f"record:{event.id}", event.started_at, event.ended_at, told)
    for person in picture.people:
        document.agent(_person(person), {"prov:type": PROV["Person"], "prov:label": person})
    events = {event.id: event for event in picture.events}
    for (kind, source, target), edges in groupby(picture.edges, lambda one: (one.kind, one.source, one.target)):
        name = f"easel:edge-{uuid_of(kind, source, target)}"
        _relate(document, Edge(kind, source, target), name, [one.role for one in edges], events)
    return _text(document)


def read_prov(text: str) -> Outline:
    """The outline of what `export_prov` wrote.

    Raises:
        ValueError: it is no PROV-JSON, or none that we wrote.
    """
    from prov import Error
    from prov.model import ProvActivity, ProvAgent, ProvDocument, ProvEntity, ProvRelation

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what the library only drops with a warning is a mistake of the document
            document = ProvDocument.deserialize(io.StringIO(text), format="json")
        records = document.get_records()
        people = {
            _local(one.identifier): str(_first(one, "prov:label")) for one in records if isinstance(one, ProvAgent)
        }
        return Outline(
            frozenset(_local(one.identifier) for one in records if isinstance(one, ProvEntity)),
            frozenset(_local(one.identifier) for one in records if isinstance(one, ProvActivity)),
            frozenset(people.values()),
            frozenset(edge for one in records if isinstance(one, ProvRelation) for edge in _edges(one, people)),
        )
    except (Error, KeyError, TypeError, ValueError, AttributeError, Warning) as error:
        raise ValueError(f"no PROV-JSON of ours: {' '.join(str(error).split()) or type(error).__name__}") from None


def _about_thing(thing: Thing) -> dict[Any, Any]:
    facts = {"prov:label": thing.name, "easel:sha256": thing.id}
    if thing.kind != "sample":
        facts |= {"prov:location": thing.path, "easel:bytes": thing.size, "easel:count": thing.count}
    return facts | {f"easel:licence-{number}": f"{name}: {count} images" for number, (name, count) in _licences(thing)}


def _licences(thing: Thing) -> list[tuple[int, tuple[str, int]]]:
    return list(enumerate(sorted(thing.licences.items())))


def _about_event(event: Event, subject: str) -> dict[Any, Any]:
    told: dict[str, Any] = {"prov:label": event.name}
    told |= {"easel:isSubject": True} if event.id == subject else {}
    groups = {"facts": event.facts, "parameters": event.parameters, "measures": event.measures, "checks": event.checks}
    told |= {f"easel:{name}": json.dumps(dict(values), ensure_ascii=False) for name, values in groups.items() if values}
    return told | ({"easel:notes": json.dumps(event.notes, ensure_ascii=False)} if event.notes else {})


def _relate(document: "ProvDocument", edge: Edge, name: str, roles: list[str], events: dict[str, Event]) -> None:
    """The edge as PROV's relation, with our own kind and its roles beside it.

    One relation for all roles: an entity has one generation by an activity (PROV-CONSTRAINTS, constraint 24).
    """
    told = [("easel:kind", edge.kind), *(("prov:role", role) for role in roles if role and edge.kind in _WITH_ROLE)]
    source, target = f"thing:{edge.source}", f"thing:{edge.target}"
    match edge.kind:
        case "used":
            document.usage(f"record:{edge.source}", target, identifier=name, other_attributes=told)
        case "generated":
            when = events[edge.target].ended_at
            document.generation(source, f"record:{edge.target}", when, identifier=name, other_attributes=told)
        case "informed":
            ends = (f"record:{edge.source}", f"record:{edge.target}")
            document.communication(*ends, identifier=name, other_attributes=told)
        case "associated":
            document.association(f"record:{edge.source}", _person(edge.target), None, name, told)
        case "attributed":
            document.attribution(source, _person(edge.target), identifier=name, other_attributes=told)
        case "derived" | "trained_on":
            document.derivation(source, target, identifier=name, other_attributes=told)
        case "tested_on":
            document.influence(source, target, identifier=name, other_attributes=told)
        case "invalidated":
            when = events[edge.target].ended_at
            document.invalidation(source, f"record:{edge.target}", when, identifier=name, other_attributes=told)


_WITH_ROLE = ("used", "generated", "associated", "invalidated")


def _person(name: str) -> str:
    return f"person:{uuid_of('person', name)}"


def _local(name: "QualifiedName | Any") -> str:
    return str(name.localpart)


def _first(record: "ProvRecord", name: str) -> Any:
    return next(iter(record.get_attribute(name)), "")


def _edges(relation: "ProvRecord", people: dict[str, str]) -> list[Edge]:
    ends = [value for _, value in relation.formal_attributes if hasattr(value, "localpart")]
    source, target = (people.get(_local(one), _local(one)) for one in ends[:2])
    kind = cast(EdgeKind, str(_first(relation, "easel:kind")))
    roles = sorted(map(str, relation.get_attribute("prov:role"))) or [""]
    return [Edge(kind, source, target, role) for role in roles]


def _text(document: "ProvDocument") -> str:
    stream = io.StringIO()
    document.serialize(stream, format="json", indent=2, ensure_ascii=False)
    return stream.getvalue() + "\n"
