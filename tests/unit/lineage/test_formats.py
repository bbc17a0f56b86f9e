"""One truth in five formats: what planted records hold, read out of each document without the code that wrote it."""

import json
import re
from dataclasses import dataclass, field

import pytest
from ledgers import sample_records
from pictured import planted_records

from components.lineage.exporters.licences import address
from components.lineage.exporters.records import picture
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
    told, graph = Told(), json.loads(text)["@graph"]
    (root,) = next(one["rootElement"] for one in graph if one["type"] == "SpdxDocument")
    for element in graph:
        if element.get("spdxId") == root:
            told.measures = {one["key"]: one["value"] for one in element["ai_metric"]}
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
    for row in rows["artifacts"]:
        told.sizes[row["artifacts/sha256"]] = (row["artifacts/bytes"], row["artifacts/files"])
    told.sets = {row["sample_sets/root"]: row["sample_sets/count"] for row in rows["sample_sets"]}
    for row in rows["licences"]:
        told.licences.setdefault(row["licences/sha256"], {})[row["licences/licence"]] = row["licences/images"]
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


def two_versions():
    """Two builds of one chain: the same paths with other bytes, and measures that only the second one's model has."""
    planted = sample_records(versions=2)
    return planted.records, planted.ids["export_turbo@2"]


@pytest.mark.parametrize("standard", EXPORTERS)
@pytest.mark.parametrize("planted", [planted_records, two_versions])
def test_every_figure_of_the_records_is_the_same_in_every_format(standard, planted):
    records, subject = planted()
    truth, pictured = of_records(records), picture(records, subject)
    told = READERS[standard](EXPORTERS[standard](pictured))
    data = {thing.id for thing in pictured.of_kind("data")}
    only_data = standard in ("spdx3", "croissant")
    assert told.sizes == {one: size for one, size in truth.sizes.items() if one in data or not only_data}
    assert told.sets == truth.sets
    named = {one: {address(name): n for name, n in held.items()} for one, held in truth.licences.items()}
    assert told.licences == (named if standard == "croissant" else truth.licences)
    assert told.measures in (truth.measures, None)
    assert min(map(len, (truth.sizes, truth.sets, truth.licences, truth.measures))) > 0
