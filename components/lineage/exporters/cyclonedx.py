"""CycloneDX 1.7 ML-BOM in JSON: models with model cards, data, and the stages as the workflow that made them.

Written by hand, because the library cannot write model cards; its strict schema judges what we write.
Source: https://cyclonedx.org/docs/1.7/json/.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from components.lineage.exporters.licences import expression
from components.lineage.exporters.model import NO_BUILD, Event, Picture, Thing, uuid_of

SCHEMA = "http://cyclonedx.org/schema/bom-1.7.schema.json"
_TYPES = {"model": "machine-learning-model", "data": "data", "samples": "data", "document": "file", "sample": "file"}


def export_cyclonedx(picture: Picture) -> str:
    """The picture as a bill of materials, indented."""
    roots = picture.roots
    others = [thing for thing in picture.things if thing not in roots[:1]]
    return (
        json.dumps(
            {
                "$schema": SCHEMA,
                "bomFormat": "CycloneDX",
                "specVersion": "1.7",
                "serialNumber": f"urn:uuid:{uuid_of('cyclonedx', picture.edition)}",
                "version": 1,
                "metadata": _metadata(picture, roots[:1]),
                "components": [_component(picture, thing) for thing in others],
                "dependencies": _dependencies(picture),
                "formulation": [_formula(picture)],
                "annotations": _annotations(picture),
                "properties": _properties({"easel:record": picture.subject}),
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
    )


def _ref(thing: Thing) -> str:
    return f"thing:{thing.id}"


def _properties(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _metadata(picture: Picture, roots: list[Thing]) -> dict[str, Any]:
    tool = {"type": "application", "name": "easel", "description": "writes this from the records of a ledger"}
    told: dict[str, Any] = {"timestamp": picture.made_at, "tools": {"components": [tool]}}
    told["lifecycles"] = [{"phase": "build"}]
    if picture.people:
        told["authors"] = [{"name": name} for name in picture.people]
    return told | ({"component": _component(picture, roots[0])} if roots else {})


def _component(picture: Picture, thing: Thing) -> dict[str, Any]:
    told: dict[str, Any] = {"type": _TYPES[thing.kind], "bom-ref": _ref(thing), "name": thing.path or thing.name}
    told |= {"version": thing.id, "description": thing.name}
    if thing.kind == "samples":
        digest = {"easel:merkle-root": thing.id}
    else:
        told["hashes"] = [{"alg": "SHA-256", "content": thing.id}]
        digest = {"easel:digest": "of the canonical JSON {path: SHA-256}"} if thing.is_folder and thing.path else {}
    if thing.licences:
        told["licenses"] = [{"expression": expression(thing.licences)}]
    if owners := picture.targets("attributed", thing.id):
        told["authors"] = [{"name": name} for name in owners]
    match thing.kind:
        case "model":
            told["modelCard"] = _model_card(picture, thing)
        case "data" | "samples":
            told["data"] = [_data(picture, thing)]
        case "document" | "sample":
            pass
    counted = {f"easel:licence:{name}": f"{count} images" for name, count in sorted(thing.licences.items())}
    sizes = {} if thing.kind == "sample" else {"easel:bytes": str(thing.size), "easel:count": str(thing.count)}
    return told | {"properties": _properties(digest | sizes | counted)}


def _data(picture: Picture, thing: Thing) -> dict[str, Any]:
    told: dict[str, Any] = {"type": "dataset", "name": thing.name, "description": f"{thing.count} {_unit(thing)}"}
    told["contents"] = {"url": f"urn:easel:thing:{thing.id}"}
    if owners := picture.targets("attributed", thing.id):
        told["governance"] = {"owners": [{"contact": {"name": name}} for name in owners]}
    return told


def _unit(thing: Thing) -> str:
    return "samples" if thing.kind == "samples" else "files" if thing.count > 1 else "file"


def _model_card(picture: Picture, thing: Thing) -> dict[str, Any]:
    data = picture.all_training_data(thing.id)
    seen = dict.fromkeys([*data, *picture.targets("tested_on", thing.id)])
    task = {"task": "text-to-image"} if thing.is_pipeline else {}
    told: dict[str, Any] = {"modelParameters": task | {"datasets": [{"ref": f"thing:{one}"} for one in seen]}}
    if measures := picture.measures(thing.id):
        figures = [{"type": name, "value": value} for name, value in measures.items()]
        told["quantitativeAnalysis"] = {"performanceMetrics": figures}
    if limits := list(_limits(picture, thing)):
        told["considerations"] = {"technicalLimitations": limits}
    parameters = {
        f"easel:parameter:{maker.name}.{key}": value
        for maker in (_trainers(picture, thing) if thing in picture.roots else picture.makers(thing.id))
        for key, value in maker.parameters.items()
    }
    return told | ({"properties": _properties(parameters)} if parameters else {})


def _limits(picture: Picture, thing: Thing) -> Iterable[str]:
    """What its makers' records remark, and what was dropped before it was trained."""
    for maker in picture.makers(thing.id):
        yield from maker.notes
        yield from (
            f"check {name}: {verdict}" for name, verdict in maker.checks.items() if verdict.startswith("failed")
        )
    for event in picture.events:
        for fact, count in event.facts.items():
            if fact.startswith("samples.dropped.") and picture.all_training_data(thing.id):
                reason = fact.removeprefix("samples.dropped.")
                yield f"not learnt from: {count} images, which {event.name} dropped: {reason}"


def _trainers(picture: Picture, thing: Thing) -> list[Event]:
    """Who made the model and the models that it is derived from."""
    models, found, waiting = {one.id for one in picture.of_kind("model")}, dict[str, Event](), [thing.id]
    seen = set[str]()
    while waiting:
        one = waiting.pop(0)
        seen.add(one)
        found |= {maker.id: maker for maker in picture.makers(one)}
        waiting += [other for other in picture.targets("derived", one) if other in models - seen]
    return list(found.values())


def _dependencies(picture: Picture) -> list[dict[str, Any]]:
    known = {thing.id: _ref(thing) for thing in picture.things}
    return [
        {"ref": _ref(thing)} | ({"dependsOn": [known[one] for one in targets]} if targets else {})
        for thing in picture.things
        for targets in [sorted({*picture.targets("derived", thing.id), *picture.targets("trained_on", thing.id)})]
    ]


def _formula(picture: Picture) -> dict[str, Any]:
    """Every stage as a task of one workflow, with what it used and made."""
    builds = [event for event in picture.events if event.kind not in NO_BUILD]
    names = {event.id for event in builds}
    order = [
        {"ref": f"record:{event.id}"} | ({"dependsOn": [f"record:{one}" for one in before]} if before else {})
        for event in builds
        for before in [[one for one in picture.targets("informed", event.id) if one in names]]
    ]
    workflow: dict[str, Any] = {
        "bom-ref": f"workflow:{picture.subject}",
        "uid": uuid_of("workflow", picture.subject),
        "name": f"what {picture.about.name} stands on",
        "taskTypes": ["build"],
        "tasks": [_task(picture, event) for event in builds],
        "taskDependencies": order,
    }
    return {"bom-ref": f"formula:{picture.subject}", "workflows": [workflow]}


def _task(picture: Picture, event: Event) -> dict[str, Any]:
    facts = {f"easel:{key}": value for key, value in event.facts.items()}
    told: dict[str, Any] = {
        "bom-ref": f"record:{event.id}",
        "uid": event.id,
        "name": event.name,
        "taskTypes": ["test" if event.measures and not _makes_model(picture, event) else "build"],
        "timeStart": event.started_at,
        "timeEnd": event.ended_at,
        "inputs": [{"resource": {"ref": f"thing:{one}"}} for one in picture.targets("used", event.id)],
        "outputs": [
            {"type": "artifact", "resource": {"ref": f"thing:{one}"}} for one in picture.sources("generated", event.id)
        ],
    }
    if event.parameters:
        parameters = [{"name": name, "value": value} for name, value in event.parameters.items()]
        told["inputs"].append({"parameters": parameters})
    said = facts | {f"easel:check:{name}": verdict for name, verdict in event.checks.items()}
    return told | ({"properties": _properties(said)} if said else {})


def _makes_model(picture: Picture, event: Event) -> bool:
    models = {thing.id for thing in picture.of_kind("model")}
    return bool(models & set(picture.sources("generated", event.id)))


def _annotations(picture: Picture) -> list[dict[str, Any]]:
    """Decisions, each about the samples that it took down, else about the tasks that it stands on."""
    tasks = {event.id for event in picture.events if event.kind not in NO_BUILD}
    told = list[dict[str, Any]]()
    for event in picture.events:
        if event.kind not in NO_BUILD:
            continue
        gone = [f"thing:{one}" for one in picture.sources("invalidated", event.id)]
        parents = [f"record:{one}" for one in picture.targets("informed", event.id) if one in tasks]
        people = picture.targets("associated", event.id)
        said = {"record": event.id, "kind": event.kind, **event.facts}
        told.append(
            {
                "bom-ref": f"record:{event.id}",
                "subjects": gone or parents or [f"workflow:{picture.subject}"],
                "annotator": {"individual": {"name": people[0]}} if people else {"organization": {"name": "unknown"}},
                "timestamp": event.ended_at,
                "text": json.dumps(said, ensure_ascii=False),
            }
        )
    return told
