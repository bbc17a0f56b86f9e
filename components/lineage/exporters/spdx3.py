"""SPDX 3.0.1 in JSON-LD: models are AI packages, data are dataset packages, stages are builds.

Profiles: core, software, ai, dataset, build, simpleLicensing. What SPDX has no word for (decisions, takedowns) stands
in annotations. Source: https://spdx.github.io/spdx-spec/v3.0.1/.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from components.lineage.exporters.licences import expression
from components.lineage.exporters.model import NO_BUILD, Edge, Event, Picture, Thing, uuid_of

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
VERSION = "3.0.1"
_CREATION, _EASEL = "_:CreationInfo0", "urn:easel:ledger:1"
_PROFILES = ["ai", "build", "core", "dataset", "simpleLicensing", "software"]
_UNKNOWN_LICENCE = "expandedlicensing_NoAssertionLicense"
_NOT_CONCLUDED = "records hold what sources declare; that a person concluded anything from it stands in none"
_NOT_MADE = "no record made it: its times say only that it was there when the first record began"
_FOLDER = "SHA-256 of the canonical JSON {relative path: SHA-256}"
_ROOT = "Merkle tree hash (RFC 6962, SHA-256) over the sorted SHA-256 of the samples, each with the next"


def export_spdx3(picture: Picture) -> str:
    """The picture as an SPDX document, indented."""
    elements = [
        {"type": "SoftwareAgent", "spdxId": _EASEL, "creationInfo": _CREATION, "name": "Easel"},
        *(_person(name) for name in picture.people),
        *(_thing(picture, thing) for thing in picture.things),
        *(_build(event) for event in picture.events if event.kind not in NO_BUILD),
        *_licences(picture),
        *_relationships(picture),
        *_annotations(picture),
    ]
    creation = {"type": "CreationInfo", "@id": _CREATION, "specVersion": VERSION, "createdBy": [_EASEL]}
    creation |= {"created": _time(picture.made_at), "comment": "from the records of a ledger; no clock was asked"}
    document = {
        "type": "SpdxDocument",
        "spdxId": _document(picture),
        "creationInfo": _CREATION,
        "name": f"{picture.about.name} {picture.subject[:12]}",
        "profileConformance": _PROFILES,
        "rootElement": [_urn(thing) for thing in picture.roots] or [_record(picture.subject)],
        "element": [element["spdxId"] for element in elements],
    }
    graph = [creation, document, *elements]
    return json.dumps({"@context": CONTEXT, "@graph": graph}, indent=2, ensure_ascii=False) + "\n"


def _document(picture: Picture) -> str:
    return f"urn:easel:spdx:{picture.edition}"


def _urn(thing: Thing) -> str:
    return f"urn:easel:thing:{thing.id}"


def _record(name: str) -> str:
    return f"urn:easel:record:{name}"


def _person_urn(name: str) -> str:
    return f"urn:easel:person:{uuid_of('person', name)}"


def _time(moment: str) -> str:
    """SPDX knows whole seconds only."""
    return f"{moment[:19]}Z"


def _person(name: str) -> dict[str, Any]:
    return {"type": "Person", "spdxId": _person_urn(name), "creationInfo": _CREATION, "name": name}


def _entries(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"type": "DictionaryEntry", "key": key, "value": value} for key, value in values.items()]


def _thing(picture: Picture, thing: Thing) -> dict[str, Any]:
    element = {
        "type": "software_File",
        "spdxId": _urn(thing),
        "creationInfo": _CREATION,
        "name": thing.path or thing.name,
    }
    element |= {"description": thing.name, "verifiedUsing": [_hash(thing)]}
    match thing.kind:
        case "model":
            return element | _package(picture, thing, "ai_AIPackage", "model") | _model(picture, thing)
        case "data" | "samples":
            return element | _package(picture, thing, "dataset_DatasetPackage", "data") | _dataset(thing)
        case "document":
            kind = "directory" if thing.is_folder else "file"
            return element | {"software_primaryPurpose": "evidence", "software_fileKind": kind}
        case "sample":
            return element | {"software_primaryPurpose": "data", "software_fileKind": "file"}


def _hash(thing: Thing) -> dict[str, str]:
    if thing.kind == "samples":
        return {"type": "Hash", "algorithm": "other", "hashValue": thing.id, "comment": _ROOT}
    told = {"type": "Hash", "algorithm": "sha256", "hashValue": thing.id}
    return told | ({"comment": _FOLDER} if thing.is_folder and thing.kind != "sample" else {})


def _package(picture: Picture, thing: Thing, kind: str, purpose: str) -> dict[str, Any]:
    """What the AI and dataset profiles ask of every package."""
    makers = picture.makers(thing.id)
    made_at = _time(makers[0].ended_at if makers else min(event.started_at for event in picture.events))
    owners = [_person_urn(name) for name in picture.targets("attributed", thing.id)]
    told = {} if makers else {"comment": _NOT_MADE}
    return told | {
        "type": kind,
        "software_packageVersion": thing.id,
        "software_primaryPurpose": purpose,
        "software_downloadLocation": _urn(thing),
        "software_copyrightText": "NOASSERTION",
        "builtTime": made_at,
        "releaseTime": made_at,
        "originatedBy": owners or [_EASEL],
        "suppliedBy": owners[0] if owners else _EASEL,
    }


def _model(picture: Picture, thing: Thing) -> dict[str, Any]:
    found: dict[str, Any] = {"ai_useSensitivePersonalInformation": "noAssertion"}
    if thing.is_pipeline:
        found["ai_domain"] = ["text-to-image"]
    parameters = {key: value for maker in picture.makers(thing.id) for key, value in maker.parameters.items()}
    if parameters:
        found["ai_hyperparameter"] = _entries(parameters)
    if measures := picture.measures(thing.id):
        found["ai_metric"] = _entries(measures)
    if consumed := _sets_of_training(picture, thing):
        found["ai_informationAboutTraining"] = consumed
    return found


def _sets_of_training(picture: Picture, thing: Thing) -> str:
    sets = [picture.thing(name) for name in picture.all_training_data(thing.id)]
    told = [f"{one.count} samples {one.name} (Merkle root {one.id})" for one in sets if one.kind == "samples"]
    return "; ".join(told)


def _dataset(thing: Thing) -> dict[str, Any]:
    kind = "image" if thing.kind == "samples" else "structured" if thing.path.endswith(".parquet") else "noAssertion"
    told = {"dataset_datasetType": [kind], "dataset_hasSensitivePersonalInformation": "noAssertion"}
    counted = ", ".join(f"{count} of {name}" for name, count in sorted(thing.licences.items()))
    process = {"dataset_dataCollectionProcess": f"images by licence: {counted}"} if counted else {}
    return told | process | {"dataset_datasetSize": thing.size, "summary": f"{thing.count} {_unit(thing)}"}


def _unit(thing: Thing) -> str:
    return "samples" if thing.kind == "samples" else "files" if thing.count > 1 else "file"


def _build(event: Event) -> dict[str, Any]:
    told: dict[str, Any] = {
        "type": "build_Build",
        "spdxId": _record(event.id),
        "creationInfo": _CREATION,
        "name": event.name,
        "build_buildType": f"urn:easel:kind:{event.kind}",
        "build_buildId": event.id,
        "build_buildStartTime": _time(event.started_at),
        "build_buildEndTime": _time(event.ended_at),
    }
    if event.parameters:
        told["build_parameter"] = _entries(event.parameters)
    if event.facts:
        told["build_environment"] = _entries(event.facts)
    if event.measures or event.checks or event.notes:
        said = {"measures": event.measures, "checks": event.checks, "notes": event.notes}
        told["comment"] = json.dumps({key: value for key, value in said.items() if value}, ensure_ascii=False)
    return told


def _licences(picture: Picture) -> list[dict[str, Any]]:
    words = sorted({expression(thing.licences) for thing in picture.things if thing.licences})
    return [
        {
            "type": "simplelicensing_LicenseExpression",
            "spdxId": _licence_urn(word),
            "creationInfo": _CREATION,
            "simplelicensing_licenseExpression": word,
        }
        for word in words
    ]


def _licence_urn(word: str) -> str:
    return f"urn:easel:licence:{uuid_of('licence', word)}"


def _relationships(picture: Picture) -> Iterable[dict[str, Any]]:
    """One element for all relations of one kind from one element, in order."""
    targets = defaultdict[tuple[str, str], list[str]](list)
    for source, kind, target in _relations(picture):
        if target not in targets[source, kind]:
            targets[source, kind].append(target)
    for event in picture.events:  # the build profile wants all three of every build
        if event.kind not in NO_BUILD:
            for kind, none in _OF_EVERY_BUILD.items():
                targets[_record(event.id), kind] = targets[_record(event.id), kind] or [none]
    for (source, kind), to in sorted(targets.items()):
        told: dict[str, Any] = {
            "type": "Relationship",
            "spdxId": f"urn:easel:relationship:{uuid_of(picture.edition, source, kind)}",
            "creationInfo": _CREATION,
            "from": source,
            "relationshipType": kind,
            "to": to,
        }
        if to[0] not in _NO_ASSERTIONS:
            told["completeness"] = "complete"
        if kind in _OF_BUILDS and source.startswith(_record("")):
            told |= {"type": "LifecycleScopedRelationship", "scope": "build"}
        yield told | ({"comment": _NOT_CONCLUDED} if kind == "hasConcludedLicense" else {})


_OF_EVERY_BUILD = {"hasInput": "NoneElement", "hasOutput": "NoneElement", "invokedBy": "NoAssertionElement"}
_OF_BUILDS = frozenset({*_OF_EVERY_BUILD, "descendantOf"})
_NO_ASSERTIONS = frozenset({_UNKNOWN_LICENCE, "NoAssertionElement"})


def _relations(picture: Picture) -> Iterable[tuple[str, str, str]]:
    builds = {event.id for event in picture.events if event.kind not in NO_BUILD}
    for edge in picture.edges:
        yield from _of_builds(edge, builds)
        if edge.kind in _BETWEEN_THINGS:
            yield f"urn:easel:thing:{edge.source}", _BETWEEN_THINGS[edge.kind], f"urn:easel:thing:{edge.target}"
    for thing in picture.things:
        if thing.kind not in ("model", "data", "samples"):
            continue
        declared = _licence_urn(expression(thing.licences)) if thing.licences else _UNKNOWN_LICENCE
        yield _urn(thing), "hasDeclaredLicense", declared  # the AI and dataset profiles want one of each
        yield _urn(thing), "hasConcludedLicense", _UNKNOWN_LICENCE
        if thing.kind == "model":
            yield from ((_urn(thing), "hasEvidence", _urn(one)) for one in picture.evidence(thing.id))
    for root in picture.roots:
        if root.kind == "model":  # who asks about it need not walk to the models that it comes from
            yield from (
                (_urn(root), "trainedOn", _urn(picture.thing(one))) for one in picture.all_training_data(root.id)
            )


_BETWEEN_THINGS = {"derived": "descendantOf", "trained_on": "trainedOn", "tested_on": "testedOn"}


def _of_builds(edge: Edge, builds: set[str]) -> Iterable[tuple[str, str, str]]:
    """Relations from builds; whose a thing is stands in its package, decisions stand in annotations."""
    match edge.kind:
        case "used" if edge.source in builds:
            yield _record(edge.source), "hasInput", f"urn:easel:thing:{edge.target}"
        case "generated" if edge.target in builds:
            for kind in ("hasOutput", "generates"):
                yield _record(edge.target), kind, f"urn:easel:thing:{edge.source}"
        case "informed" if {edge.source, edge.target} <= builds:
            yield _record(edge.source), "descendantOf", _record(edge.target)
        case "associated" if edge.source in builds:
            yield _record(edge.source), "invokedBy", _person_urn(edge.target)
        case _:
            pass


def _annotations(picture: Picture) -> Iterable[dict[str, Any]]:
    """Decisions, each about the samples that it took down, else about the builds that it stands on."""
    builds = {event.id for event in picture.events if event.kind not in NO_BUILD}
    for event in picture.events:
        if event.kind not in NO_BUILD:
            continue
        gone = [f"urn:easel:thing:{name}" for name in picture.sources("invalidated", event.id)]
        parents = [_record(name) for name in picture.targets("informed", event.id) if name in builds]
        said = {"record": event.id, "kind": event.kind, "at": event.ended_at, **event.facts}
        for subject in gone or parents or [_document(picture)]:
            yield {
                "type": "Annotation",
                "spdxId": f"urn:easel:annotation:{uuid_of(picture.edition, event.id, subject)}",
                "creationInfo": _CREATION,
                "annotationType": "review",
                "subject": subject,
                "contentType": "application/json",
                "statement": json.dumps(said, ensure_ascii=False),
            }
