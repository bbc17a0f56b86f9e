"""One truth in five formats: what planted records hold, read out of each document without the code that wrote it."""

import json
import re
from dataclasses import dataclass, field

import pytest
from pictured import planted_picture, planted_records

from components.lineage.exporters.licences import address
from flows.lineage.exports import EXPORTERS


@dataclass
class Told:
    """What a document says: (bytes, files) by SHA-256, members by Merkle root, images by licence, and measures.

    None where the standard has no place for it.
    """

    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    sets: dict[str, int] = field(default_factory=dict)
    licences: dict[str, dict[str, int]] = field(default_factory=dict)
    measures: dict[str, str] | None = field(default_factory=dict)


def of_records(records):
    """The truth: from the records alone."""
    truth = Told()
    for record in records:
        for item in (*record.inputs, *record.outputs):
            truth.sizes[item.sha256] = (item.size, item.count)
            if item.licences:
                truth.licences[item.sha256] = item.licences
        truth.sets |= {one.root: one.count for one in record.samples.sets}
        truth.measures |= {f"{record.subject}.{name}": value for name, value in record.measures.items()}
    return truth


def of_prov(text):
    document, told = json.loads(text), Told()
    for entity in document["entity"].values():
        sha256 = entity["easel:sha256"]
        if entity["prov:type"]["$"] == "easel:samples":
            told.sets[sha256] = int(entity["easel:count"]["$"])
        elif "easel:bytes" in entity:
            told.sizes[sha256] = tuple(int(entity[f"easel:{name}"]["$"]) for name in ("bytes", "count"))
        words = [value for name, value in entity.items() if name.startswith("easel:licence")]
        told.licences |= {sha256: dict(counted(r"(.+): (\d+) images", words))} if words else {}
    for event in document["activity"].values():
        measures = json.loads(event.get("easel:measures", "{}"))
        told.measures |= {f"{event['prov:label']}.{name}": value for name, value in measures.items()}
    return told


def of_openlineage(text):
    told = Told()
    for line in text.splitlines():
        event = json.loads(line)
        about = event["run"]["facets"]["easel_record"]
        told.measures |= {f"{event['job']['name']}.{name}": value for name, value in about["measures"].items()}
        for data in (*event["inputs"], *event["outputs"]):
            facet = data["facets"]["easel_bytes"]
            if facet["kind"] == "samples":
                told.sets[facet["sha256"]] = facet["count"]
            elif facet["kind"] != "sample":
                told.sizes[facet["sha256"]] = (facet["size"], facet["count"])
            told.licences |= {facet["sha256"]: facet["licences"]} if facet["licences"] else {}
    return told


def of_spdx3(text):
    told = Told()
    for element in json.loads(text)["@graph"]:
        told.measures |= {one["key"]: one["value"] for one in element.get("ai_metric", ())}
        if element["type"] != "dataset_DatasetPackage":
            continue  # SPDX knows no size of models and files
        (found,) = element["verifiedUsing"]
        count = int(element["summary"].split()[0])
        if found["algorithm"] == "other":
            told.sets[found["hashValue"]] = count
        else:
            told.sizes[found["hashValue"]] = (element["dataset_datasetSize"], count)
        words = element.get("dataset_dataCollectionProcess", "").removeprefix("images by licence: ")
        told.licences |= {found["hashValue"]: dict(counted(r"(\d+) of (.+)", words.split(", ")))} if words else {}
    return told


def of_cyclonedx(text):
    document, told = json.loads(text), Told()
    root = document["metadata"]["component"]
    told.measures = {
        one["type"]: one["value"] for one in root["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    }
    for component in (root, *document["components"]):
        facts = {one["name"]: one["value"] for one in component["properties"]}
        if root_digest := facts.get("easel:merkle-root"):
            told.sets[root_digest] = int(facts["easel:count"])
            continue
        sha256 = component["hashes"][0]["content"]
        if "easel:bytes" in facts:
            told.sizes[sha256] = (int(facts["easel:bytes"]), int(facts["easel:count"]))
        licences = [f"{name.removeprefix('easel:licence:')}: {value}" for name, value in facts.items()]
        found = dict(counted(r"(?!easel:)(.+): (\d+) images", licences))
        told.licences |= {sha256: found} if found else {}
    return told


def of_croissant(text):
    rows = {one["name"]: one.get("data", ()) for one in json.loads(text)["recordSet"]}
    told = Told(measures=None)
    paths = {}
    for row in rows["artifacts"]:
        told.sizes[row["artifacts/sha256"]] = (row["artifacts/bytes"], row["artifacts/files"])
        paths[row["artifacts/path"]] = row["artifacts/sha256"]
    told.sets = {row["sample_sets/root"]: row["sample_sets/count"] for row in rows["sample_sets"]}
    for row in rows["licences"]:
        told.licences.setdefault(paths[row["licences/path"]], {})[row["licences/licence"]] = row["licences/images"]
    return told


def counted(pattern, texts):
    """Names and numbers in texts, whichever way round."""
    for text in texts:
        if found := re.fullmatch(pattern, text):
            name, number = sorted(found.groups(), key=str.isdecimal)
            yield name, int(number)


READERS = {
    "prov": of_prov,
    "openlineage": of_openlineage,
    "spdx3": of_spdx3,
    "cyclonedx": of_cyclonedx,
    "croissant": of_croissant,
}


@pytest.mark.parametrize("standard", EXPORTERS)
def test_every_figure_of_the_records_is_the_same_in_every_format(standard):
    records, _ = planted_records()
    truth = of_records(records)
    told = READERS[standard](EXPORTERS[standard](planted_picture()))
    data = {thing.id for thing in planted_picture().of_kind("data")}
    only_data = standard in ("spdx3", "croissant")
    assert told.sizes == {one: size for one, size in truth.sizes.items() if one in data or not only_data}
    assert told.sets == truth.sets
    named = {one: {address(name): n for name, n in held.items()} for one, held in truth.licences.items()}
    assert told.licences == (named if standard == "croissant" else truth.licences)
    assert told.measures in (truth.measures, None)
    assert truth.sizes
    assert truth.sets
    assert truth.licences
    assert truth.measures
