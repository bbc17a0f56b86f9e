import json

import pytest
from pictured import TAKEN_DOWN, hostile_picture, planted_picture, planted_records
from spdx_python_model import load_data

from components.lineage.exporters.records import picture
from components.lineage.exporters.spdx3 import export_spdx3

HOSTILE = 'a "quoted" <b>line</b>\n\u2028\u202e${x} \\ 图'
# What the AI and dataset profiles of SPDX 3.0.1 ask for beyond the classes' own required properties.
PROFILES = {
    "ai_AIPackage": {
        *("software_downloadLocation", "software_packageVersion", "software_primaryPurpose"),
        *("releaseTime", "suppliedBy", "verifiedUsing"),
    },
    "dataset_DatasetPackage": {
        *("software_downloadLocation", "software_primaryPurpose", "dataset_datasetType"),
        *("releaseTime", "builtTime", "originatedBy", "verifiedUsing"),
    },
}


def check(document):
    """Raise unless the official bindings read the document, find nothing missing and give the same graph back."""
    model, objects = load_data(document)
    assert not objects.link(), "names elements that are not there"
    again = model.JSONLDSerializer().serialize_data(objects)  # raises for what a class requires and has not
    assert canonical(again) == canonical(document)
    for element in document["@graph"]:
        missing = PROFILES.get(element["type"], set()) - set(element)
        assert not missing, f"{element['spdxId']} lacks {missing}"


def canonical(document):
    return sorted(json.dumps(element, sort_keys=True) for element in document["@graph"])


def of_type(document, kind):
    return [element for element in document["@graph"] if element["type"] == kind]


def related(document, kind):
    return {
        (one["from"].split(":")[-1], to.split(":")[-1])
        for one in of_type(document, "Relationship")
        if one["relationshipType"] == kind
        for to in one["to"]
    }


@pytest.fixture(scope="module")
def document():
    return json.loads(export_spdx3(planted_picture()))


def test_the_official_bindings_read_it_and_give_the_same_graph_back(document):
    check(document)


def test_a_model_names_what_it_was_trained_and_tested_on(document):
    planted = planted_picture()
    trained = {(edge.source, edge.target) for edge in planted.edges if edge.kind == "trained_on"}
    assert trained
    assert related(document, "trainedOn") == trained
    assert related(document, "testedOn") == {(e.source, e.target) for e in planted.edges if e.kind == "tested_on"}
    assert related(document, "generates") == {(e.target, e.source) for e in planted.edges if e.kind == "generated"}


def test_the_root_is_the_exported_model_with_evidence_and_measures(document):
    (root,) = of_type(document, "SpdxDocument")[0]["rootElement"]
    element = next(one for one in document["@graph"] if one.get("spdxId") == root)
    assert element["type"] == "ai_AIPackage"
    assert element["name"] == "artifacts/export_turbo"
    assert {"type": "DictionaryEntry", "key": "evaluate.alignment", "value": "0.31"} in element["ai_metric"]
    assert {source for source, _ in related(document, "hasEvidence")} >= {root.split(":")[-1]}


def test_decisions_are_annotations(document):
    said = {one["subject"]: json.loads(one["statement"]) for one in of_type(document, "Annotation")}
    assert said[f"urn:easel:thing:{TAKEN_DOWN}"]["kind"] == "takedown"
    assert {one["kind"] for one in said.values()} == {"promotion", "takedown"}


def test_equal_records_in_any_order_give_equal_bytes():
    records, subject = planted_records()
    assert export_spdx3(picture(records[::-1], subject)) == export_spdx3(picture(records, subject))


def test_texts_of_the_data_stay_texts():
    check(json.loads(export_spdx3(hostile_picture(HOSTILE))))


def first(document, kind):
    return of_type(document, kind)[0]


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda document: first(document, "Relationship").pop("from"), "from"),
        (lambda document: first(document, "Relationship").update(relationshipType="trainedBy"), "trainedBy"),
        (lambda document: first(document, "dataset_DatasetPackage").pop("dataset_datasetType"), "datasetType"),
        (lambda document: first(document, "dataset_DatasetPackage").update(dataset_datasetSize="many"), "many|int"),
        (lambda document: first(document, "ai_AIPackage").pop("suppliedBy"), "lacks {'suppliedBy'}"),
        (lambda document: first(document, "ai_AIPackage").update(colour="red"), "colour"),
        (lambda document: first(document, "build_Build").update(build_buildEndTime="2026-11-21"), "2026-11-21"),
        (lambda document: first(document, "CreationInfo").pop("created"), "created"),
        (lambda document: first(document, "Relationship").update(to=["urn:easel:thing:no"]), "not there"),
        (lambda document: document.update({"@context": "https://spdx.org/rdf/2"}), "Unknown context"),
    ],
)
def test_a_planted_mistake_is_refused(document, mistake, said):
    broken = json.loads(json.dumps(document))
    mistake(broken)
    with pytest.raises(Exception, match=said):  # the bindings raise errors of many kinds
        check(broken)
