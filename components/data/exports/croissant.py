"""Croissant 1.0: what an export holds, in JSON-LD that search engines and loaders read.

Every file stands there with its size and SHA-256; record sets say which field is found where.
Source: Akhtar et al. 2024, Croissant, arXiv:2403.19546, and https://docs.mlcommons.org/croissant/docs/croissant-spec.html.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from components.data.exports.card import About
from components.data.exports.credits import licence_address, licences
from components.data.exports.samples import ROWS, image_ending

PARQUET, TAR = "application/x-parquet", "application/x-tar"
_ID_IN_NAME = r"^([0-9a-f]{64})\."
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{
        name: f"cr:{name}"
        for name in (
            *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet"),
            *("format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
            *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField"),
            "transform",
        )
    },
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "sc": "https://schema.org/",
}


@dataclass(frozen=True)
class File:
    """A file of the export, by its path from the export's folder."""

    path: str
    sha256: str
    num_bytes: int


def describe_parquet(about: About, files: Sequence[File]) -> dict[str, Any]:
    """The description of a Parquet export: one record set over all files."""
    file_set = _file_set("parquet-files", ["data/*.parquet"], [PARQUET])
    image = {**_source(file_set, {"column": "image"}), "transform": {"jsonPath": "bytes"}}
    fields = [_field("image", "sc:ImageObject", image)]
    fields += [_field(f.name, _type(f.type), _source(file_set, {"column": f.name})) for f in _scalars()]
    return _description(about, [*_file_objects(files, PARQUET), file_set], [_record_set("samples", fields)])


def describe_webdataset(about: About, files: Sequence[File], formats: Sequence[str]) -> dict[str, Any]:
    """The description of tar shards: record sets of the images, their texts and their facts (JSON), by `sample_id`."""
    endings, kinds = [f"*.{image_ending(name)}" for name in formats], [f"image/{name.lower()}" for name in formats]
    members = {
        "image": _file_set("images", endings, kinds, files),
        "text": _file_set("texts", ["*.txt"], ["text/plain"], files),
        "facts": _file_set("facts", ["*.json"], ["application/json"], files),
    }
    sets: list[dict[str, Any]] = []
    for name, member in members.items():
        key = {**_source(member, {"fileProperty": "filename"}), "transform": {"regex": _ID_IN_NAME}}
        kind = "sc:ImageObject" if name == "image" else "sc:Text"
        content = _field(name, kind, _source(member, {"fileProperty": "content"}))
        sets.append(_record_set(f"{name}-of-sample", [_field("sample_id", "sc:Text", key), content]))
    return _description(about, [*_file_objects(files, TAR), *members.values()], sets)


def _description(about: About, distribution: list[Any], record_sets: list[Any]) -> dict[str, Any]:
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": about.name,
        "description": about.description,
        "version": about.version,
        "datePublished": about.published,
        "license": [licence_address(name) for name in licences(about.credits)],
        "citeAs": "The makers named in ATTRIBUTION.md.",
        "creator": [{"@type": "sc:Organization", "name": name} for name in sorted({c.creator for c in about.credits})],
        "inLanguage": list(about.languages),
        "distribution": distribution,
        "recordSet": record_sets,
    }


def _file_objects(files: Sequence[File], kind: str) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": file.path,
            "name": file.path.rsplit("/", 1)[-1],
            "contentUrl": file.path,
            "contentSize": f"{file.num_bytes} B",
            "encodingFormat": kind,
            "sha256": file.sha256,
        }
        for file in files
    ]


def _file_set(name: str, includes: list[str], kinds: list[str], files: Sequence[File] = ()) -> dict[str, Any]:
    contained_in = {"containedIn": [{"@id": file.path} for file in files]} if files else {}
    about = {"@type": "cr:FileSet", "@id": name, "name": name, "encodingFormat": kinds, "includes": includes}
    return about | contained_in


def _record_set(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    named = [{"@id": f"{name}/{field['name']}", **field} for field in fields]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "key": {"@id": f"{name}/sample_id"}, "field": named}


def _field(name: str, kind: str, source: Mapping[str, Any]) -> dict[str, Any]:
    return {"@type": "cr:Field", "name": name, "dataType": kind, "source": dict(source)}


def _source(file_set: Mapping[str, Any], extract: Mapping[str, str]) -> dict[str, Any]:
    return {"fileSet": {"@id": file_set["@id"]}, "extract": dict(extract)}


def _scalars() -> list[pa.Field]:
    return [field for field in ROWS if not pa.types.is_list(field.type)]


def _type(kind: pa.DataType) -> str:
    return "sc:Text" if pa.types.is_string(kind) else "sc:Integer" if pa.types.is_integer(kind) else "sc:Float"
