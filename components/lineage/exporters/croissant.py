"""Croissant 1.1: the data sets of a history, with digests, licences, provenance (PROV) and their sample sets.

Every file of data is a FileObject with its SHA-256; a folder is a FileSet (which Croissant gives no digest) of its own
path, whose digest stands in the record set `artifacts`; tables keyed by `sample_id` have a record set of their samples.
Of the properties for responsible AI (RAI 1.0) those stand there that records know: what was read, dropped, remarked.
Sources: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html; Akhtar et al. 2024, arXiv:2403.19546;
https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html.
"""

import json
from typing import Any

from components.lineage.exporters.licences import address
from components.lineage.exporters.model import Picture, Thing

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
SAMPLE_TABLES = ("catalogue", "selection", "sft_selection")
_ENCODINGS = {
    ".parquet": "application/x-parquet",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".csv": "text/csv",
    ".tar": "application/x-tar",
}
_CROISSANT_WORDS = (
    *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty"),
    *("fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5"),
    *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator"),
    *("source", "subField", "transform"),
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{name: f"cr:{name}" for name in _CROISSANT_WORDS},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}


def export_croissant(picture: Picture) -> str:
    """The data sets of the picture as one Croissant description, indented."""
    about = picture.about
    held = [thing for thing in picture.of_kind("data") if thing.path]
    licences = sorted({name for thing in picture.things for name in thing.licences})
    described: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": about.name,
        "description": f"The data that {about.name} stands on (record {about.id}), as its ledger names them.",
        "url": f"urn:easel:record:{about.id}",
        "version": f"1.0.0+{picture.edition}",
        "datePublished": picture.made_at[:10],
        "dateModified": picture.made_at[:19],
        "license": [address(name) for name in licences] or ["NOASSERTION"],
        "citeAs": f"Record {about.id} of an Easel ledger.",
        "creator": [{"@type": "sc:Person", "name": name} for name in picture.people]
        or [{"@type": "sc:Organization", "name": "Easel"}],
        "prov:wasGeneratedBy": {"@id": f"urn:easel:record:{about.id}"},
        "prov:wasDerivedFrom": [{"@id": f"urn:easel:thing:{thing.id}"} for thing in _sources(picture)],
        **_responsible_ai(picture),
        "distribution": [_distribution(picture, thing) for thing in held],
        "recordSet": [*_sample_tables(held), *_inline_sets(picture, held)],
    }
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def _sources(picture: Picture) -> list[Thing]:
    """What nobody in the picture made: data that were there, and the images received; other sets are parts of these."""
    made = {edge.source for edge in picture.edges if edge.kind == "generated"}
    there = [thing for thing in picture.of_kind("data", "samples") if thing.id not in made]
    return [thing for thing in there if thing.kind == "data" or thing.name == "received"]


def _responsible_ai(picture: Picture) -> dict[str, Any]:
    """What records know of how the data came about; the rest (biases, consent, persons) only people can say."""
    there = [thing for thing in _sources(picture) if thing.kind == "data"]
    read = [f"{thing.path} ({thing.count} files, SHA-256 {thing.id})" for thing in there]
    dropped = [
        f"{event.name} (record {event.id}) dropped {count} images: {fact.removeprefix(_DROPPED)}"
        for event in picture.events
        for fact, count in event.facts.items()
        if fact.startswith(_DROPPED)
    ]
    remarks = [f"{event.name} (record {event.id}): {note}" for event in picture.events for note in event.notes]
    gone = [f"{event.name} (record {event.id})" for event in picture.events if event.kind == "takedown"]
    told: dict[str, Any] = {
        "rai:dataCollection": f"Read by the first stages, made by none: {'; '.join(read)}." if read else "",
        "rai:dataPreprocessingProtocol": dropped,
        "rai:dataLimitations": remarks,
        "rai:dataReleaseMaintenancePlan": f"Takedowns that reached this history: {'; '.join(gone)}." if gone else "",
    }
    return {name: value for name, value in told.items() if value}


_DROPPED = "samples.dropped."


def _id(thing: Thing) -> str:
    return f"artifact-{thing.id}"


def _encoding(thing: Thing) -> str:
    return next((kind for end, kind in _ENCODINGS.items() if thing.path.endswith(end)), "application/octet-stream")


def _distribution(picture: Picture, thing: Thing) -> dict[str, Any]:
    is_file = not thing.is_folder
    told: dict[str, Any] = {
        "@type": "cr:FileObject" if is_file else "cr:FileSet",
        "@id": _id(thing),
        "name": thing.path,
        "description": f"{thing.name}: {thing.size} bytes in {thing.count} files",
        "encodingFormat": _encoding(thing),
    }
    if is_file:
        told |= {"contentUrl": thing.path, "contentSize": f"{thing.size} B", "sha256": thing.id}
    else:
        told["includes"] = f"{thing.path}/**"
    makers = [{"@id": f"urn:easel:record:{maker.id}"} for maker in picture.makers(thing.id)]
    origins = [{"@id": f"urn:easel:thing:{name}"} for name in picture.targets("derived", thing.id)]
    told |= {"prov:wasGeneratedBy": makers} if makers else {}
    return told | ({"prov:wasDerivedFrom": origins} if origins else {})


def _sample_tables(held: list[Thing]) -> list[dict[str, Any]]:
    """The tables that say which samples a data set has: a record set of their ids each."""
    tables = [thing for thing in held if thing.name in SAMPLE_TABLES and thing.path.endswith(".parquet")]
    return [_sample_table(thing) for thing in tables if not thing.is_folder]


def _sample_table(thing: Thing) -> dict[str, Any]:
    name = f"samples-{thing.id[:12]}"
    source = {"fileObject": {"@id": _id(thing)}, "extract": {"column": "sample_id"}}
    field = {"@type": "cr:Field", "@id": f"{name}/sample_id", "name": "sample_id", "dataType": "sc:Text"}
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"The samples that {thing.path} names, by the SHA-256 of the image's bytes.",
        "key": {"@id": f"{name}/sample_id"},
        "field": [field | {"description": "SHA-256 of the image as received", "source": source}],
    }


def _inline_sets(picture: Picture, held: list[Thing]) -> list[dict[str, Any]]:
    """What Croissant has no place for: sample sets by Merkle root, digests of folders, licences by count."""
    roots = [
        {"root": thing.id, "role": ", ".join(_roles(picture, thing)), "count": thing.count}
        for thing in picture.of_kind("samples")
    ]
    artifacts = [{"sha256": thing.id, "path": thing.path, "bytes": thing.size, "files": thing.count} for thing in held]
    licences = [
        {"sha256": thing.id, "path": thing.path, "licence": address(name), "images": count}
        for thing in held
        for name, count in sorted(thing.licences.items())
    ]
    told = {
        "sample_sets": (
            "Sets of samples by RFC 6962 Merkle root over their sorted SHA-256, each with the next.",
            roots,
        ),
        "artifacts": ("Files and folders by SHA-256; a folder's is of the canonical JSON {path: SHA-256}.", artifacts),
        "licences": ("Images by licence.", licences),
    }
    return [_inline(name, words, rows) for name, (words, rows) in told.items() if rows]


def _roles(picture: Picture, thing: Thing) -> list[str]:
    ends = [edge.role for edge in picture.edges if thing.id in (edge.source, edge.target) and edge.role]
    return sorted(set(ends))


def _inline(name: str, words: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A record set whose rows stand in the description itself; their fields are those of the first row."""
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{key}",
            "name": key,
            "description": key,
            "dataType": "sc:Integer" if isinstance(value, int) else "sc:Text",
        }
        for key, value in rows[0].items()
    ]
    data = [{f"{name}/{key}": value for key, value in row.items()} for row in rows]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": words, "field": fields, "data": data}
