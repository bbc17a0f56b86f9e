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
from components.data.exports.samples import ROWS

PARQUET, TAR = "application/x-parquet", "application/x-tar"
_ENDINGS = {"JPEG": ("*.jpg", "image/jpeg"), "PNG": ("*.png", "image/png"), "WEBP": ("*.webp", "image/webp")}
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
    image = {"source": {**_column("image"), "transform": {"jsonPath": "bytes"}}}
    fields = [_field("image", "sc:ImageObject", image)]
    fields += [_field(field.name, _type(field.type), {"source": _column(field.name)}) for field in _scalars()]
    file_set = _file_set("parquet-files", "data/*.parquet", PARQUET, files)
    return _description(about, [*_file_objects(files, PARQUET), file_set], [_record_set("samples", fields)])


def describe_webdataset(about: About, files: Sequence[File], formats: Sequence[str]) -> dict[str, Any]:
    """The description of tar shards: a record set over the .json members, and one over the images."""
    fields = [
        _field(f.name, _type(f.type), {"source": _source("records", {"jsonPath": f"$.{f.name}"})}) for f in _scalars()
    ]
    key = {**_source("images", {"fileProperty": "filename"}), "transform": {"regex": r"^([0-9a-f]{64})\."}}
    images = [
        _field("image_of", "sc:Text", {"source": key}),
        _field("content", "sc:ImageObject", {"source": _source("images", {"fileProperty": "content"})}),
    ]
    endings = [_ENDINGS[name] for name in sorted(set(formats)) if name in _ENDINGS]
    members = [
        _file_set("records", "*.json", "application/json", files),
        _file_set("images", [ending for ending, _ in endings], [kind for _, kind in endings], files),
    ]
    sets = [_record_set("samples", fields), _record_set("images-of-samples", images, key="image_of")]
    return _description(about, [*_file_objects(files, TAR), *members], sets)


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


def _file_set(name: str, includes: str | list[str], kind: str | list[str], files: Sequence[File]) -> dict[str, Any]:
    contained_in = [{"@id": file.path} for file in files]
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "containedIn": contained_in,
        "encodingFormat": kind,
        "includes": includes,
    }


def _record_set(name: str, fields: list[dict[str, Any]], key: str = "sample_id") -> dict[str, Any]:
    for field in fields:
        field["@id"] = f"{name}/{field['name']}"
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "key": {"@id": f"{name}/{key}"}, "field": fields}


def _field(name: str, kind: str, rest: Mapping[str, Any]) -> dict[str, Any]:
    return {"@type": "cr:Field", "name": name, "dataType": kind, **rest}


def _column(name: str) -> dict[str, Any]:
    return _source("parquet-files", {"column": name})


def _source(file_set: str, extract: Mapping[str, str]) -> dict[str, Any]:
    return {"fileSet": {"@id": file_set}, "extract": dict(extract)}


def _scalars() -> list[pa.Field]:
    return [field for field in ROWS if not pa.types.is_list(field.type)]


def _type(kind: pa.DataType) -> str:
    return "sc:Text" if pa.types.is_string(kind) else "sc:Integer" if pa.types.is_integer(kind) else "sc:Float"
