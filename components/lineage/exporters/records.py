"""The neutral picture of records: a pure function, whatever order the records come in.

What a thing is (a model, data, a document) is told from its role and path, since records do not say.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, cast

from components.lineage.canonical import digest
from components.lineage.exporters.model import Edge, Event, Kind, Picture, Thing, flat
from components.lineage.record import Item, Record

_MODEL_ROLES = frozenset({"model", "pipeline", "init", "autoencoder", "classifier", "scorer", "weights"})
_DOCUMENT_ROLES = frozenset({"report", "receipt", "grids", "metrics", "card", "reference", "checked"})
_DOCUMENT_ENDINGS = frozenset({".html", ".json", ".md", ".png", ".txt", ".yaml"})
_NO_PERSON = frozenset({"reason", "policy", "policy_version", "host", "note", "why", "service"})
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://|git@[^/:]+:", re.IGNORECASE)
"""How the address of a repository begins that others can reach: `https://`, `ssh://`, `git@host:`."""
_SAMPLE_KEYS = frozenset({"sample", "samples", "sample_id", "sample_ids", "sha256", "matches", "excluded"})


def picture(records: Sequence[Record], subject: str) -> Picture:
    """The picture of `records` (a record, all that it stands on, decisions about them), about the record `subject`.

    Raises:
        ValueError: `subject` is none of them.
    """
    by_id = {record.id: record for record in records}  # an id is a digest: asked for once
    if subject not in by_id:
        raise ValueError(f"record {subject[:12]} is not among the {len(by_id)} records to export; resolve it first")
    ordered = sorted(by_id.items(), key=lambda one: (one[1].ended_at, one[0]))
    things, edges, is_made = dict[str, Thing](), set[Edge](), set[str]()
    for _, record in ordered:
        for thing in _things(record):
            things[thing.id] = _joined(things.get(thing.id), thing)
    for me, record in ordered:
        found = _event_edges(me, record, by_id)
        is_made |= {edge.source for edge in found if edge.kind == "generated"}
        found |= (sets := _set_edges(me, record, is_made))
        is_made |= {edge.source for edge in sets if edge.kind == "generated"}
        edges |= found
    edges |= {edge for _, record in ordered for edge in _thing_edges(record, things)}
    people = sorted({edge.target for edge in edges if edge.kind == "associated"})
    events = tuple(_event(me, record) for me, record in ordered)
    return Picture(subject, tuple(things[key] for key in sorted(things)), events, tuple(people), tuple(sorted(edges)))


def people_of(record: Record) -> dict[str, str]:
    """Who took part, by role, as the record's `people` names them."""
    texts = {role: text.strip() for role, text in flat(record.people).items()}
    return {role: text for role, text in texts.items() if text and role.split(".")[0] not in _NO_PERSON}


def _event(me: str, record: Record) -> Event:
    kept = record.model_dump(mode="json", include={"fingerprint", "attempt", "place", "code", "environment"})
    kept |= record.model_dump(mode="json", include={"decision", "systems", "is_promotable", "people"})
    code = dict(record.code)
    if modules := code.get("modules"):  # the record lists them; here one digest is enough
        code["modules"] = digest(modules)
    if not _ADDRESS.match(str(code.get("repository", ""))):  # a folder of somebody's machine is nobody else's business
        code.pop("repository", None)
    kept["code"] = code
    samples = record.samples
    consumed = [one.model_dump(mode="json") for one in samples.consumed]
    kept["samples"] = {"dropped": samples.dropped, "derived": samples.derived, "consumed": consumed}
    kept["samples"] |= {"opt_out": samples.opt_out} if samples.opt_out else {}
    facts = flat(kept)
    if record.kind == "takedown":  # who wants an image gone may say who is in it: that stays in the record
        facts = {key: text for key, text in facts.items() if key.rpartition(".")[2] != "reason"}
    return Event(
        *(me, record.kind, record.subject, record.started_at, record.ended_at),
        facts=dict(sorted(facts.items())),
        parameters=dict(sorted(flat(record.parameters).items())),
        measures=dict(sorted(record.measures.items())),
        checks=_checks(record),
        notes=record.notes,
    )


def _checks(record: Record) -> dict[str, str]:
    """Verdicts by name; a check that was asked more than once is numbered."""
    found = dict[str, str]()
    for check in record.checks:
        verdict = "passed" if check.is_passed else "failed" + f", waived by {check.waived_by}" * bool(check.waived_by)
        name = ".".join(filter(None, (check.suite, check.name)))
        times = sum(1 for known in found if known == name or known.startswith(f"{name} #"))
        found[f"{name} #{times + 1}" if times else name] = f"{verdict}: {check.detail}" if check.detail else verdict
    return found


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


def _event_edges(me: str, record: Record, known: Mapping[str, Record]) -> set[Edge]:
    edges = {Edge("used", me, item.sha256, item.role) for item in record.inputs}
    edges |= {Edge("generated", item.sha256, me, item.role) for item in record.outputs}
    named = (*record.parents, *(item.made_by for item in record.inputs), *affected_records(record))
    edges |= {Edge("informed", me, parent) for parent in named if parent in known}
    edges |= {Edge("associated", me, person, role) for role, person in people_of(record).items()}
    return edges | {Edge("invalidated", sample, me) for sample in _invalidated(record)}


def _set_edges(me: str, record: Record, is_made: set[str]) -> set[Edge]:
    """A set is made where it first appears, unless a training (which only draws) or a source (`received`) names it."""
    is_training = record.sample_set("drawn") is not None or bool(record.samples.consumed)
    edges = set[Edge]()
    for one in record.samples.sets:
        is_used = is_training or one.role in ("received", "drawn") or one.root in is_made
        ends = (me, one.root) if is_used else (one.root, me)
        edges.add(Edge("used" if is_used else "generated", *ends, one.role))
    return edges


def _thing_edges(record: Record, things: Mapping[str, Thing]) -> Iterable[Edge]:
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
        is_judge = not made and bool(record.measures)  # one that makes data sets samples aside, and tests nothing
        tested = models or [one for one in read if things[one].kind == "model" and is_judge]
        yield from (Edge("tested_on", model, held_out) for model in tested)


def _invalidated(record: Record) -> list[str]:
    """The samples that a finished takedown names, by digest (salted, where the ledger must not name the image).

    None, where nobody ever had what was to be taken down: what never was cannot end.
    """
    is_done = record.decision.get("state", "completed") == "completed" and record.decision.get("was_seen", True)
    if record.kind != "takedown" or not is_done:
        return []
    named = flat({key: value for key, value in record.decision.items() if key in _SAMPLE_KEYS})
    return sorted({text for text in named.values() if _SHA256.fullmatch(text)})


def affected_records(record: Record) -> list[str]:
    """Ids of the records that a takedown says stood on what it took down."""
    affected = record.decision.get("affected")
    named = flat(cast(dict[str, Any], affected).get("records")) if isinstance(affected, dict) else {}
    return list(named.values()) if record.kind == "takedown" else []
