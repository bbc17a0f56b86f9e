import json
from collections import Counter

import pytest
from pictured import TAKEN_DOWN, hostile_picture, planted_picture, planted_records
from spdx_python_model import load_data

from components.lineage.exporters.records import picture
from components.lineage.exporters.spdx3 import export_spdx3

LICENCE = "simplelicensing_licenseExpression"
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
    check_conformance(document)


def check_conformance(document):
    """The AI and dataset profiles want two licences of every package; the build profile three relations of a build."""
    relations = Counter(
        (one["from"], one["relationshipType"], one.get("scope"))
        for one in document["@graph"]
        if one["type"].endswith("Relationship")
    )
    for kind in PROFILES:
        for element in of_type(document, kind):
            for wanted in ("hasDeclaredLicense", "hasConcludedLicense"):
                assert relations[element["spdxId"], wanted, None] == 1, f"not one {wanted} of {element['name']}"
    for element in of_type(document, "build_Build"):
        for wanted in ("hasInput", "hasOutput", "invokedBy"):
            assert relations[element["spdxId"], wanted, "build"] == 1, f"not one {wanted} of {element['name']}"


def canonical(document):
    return sorted(json.dumps(element, sort_keys=True) for element in document["@graph"])


def of_type(document, kind):
    return [element for element in document["@graph"] if element["type"] == kind]


def related(document, kind):
    return {
        (one["from"].split(":")[-1], to.split(":")[-1])
        for one in document["@graph"]
        if one.get("relationshipType") == kind
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
    (root,) = planted.roots
    assert related(document, "trainedOn") == trained | {(root.id, one) for one in planted.all_training_data(root.id)}
    assert related(document, "testedOn") == {(e.source, e.target) for e in planted.edges if e.kind == "tested_on"}
    assert related(document, "generates") == {(e.target, e.source) for e in planted.edges if e.kind == "generated"}


def test_the_root_is_the_exported_model_with_evidence_and_measures(document):
    (root,) = of_type(document, "SpdxDocument")[0]["rootElement"]
    element = next(one for one in document["@graph"] if one.get("spdxId") == root)
    assert element["type"] == "ai_AIPackage"
    assert element["name"] == "artifacts/export_turbo"
    assert {"type": "DictionaryEntry", "key": "evaluate.alignment", "value": "0.31"} in element["ai_metric"]
    assert {source for source, _ in related(document, "hasEvidence")} >= {root.split(":")[-1]}


def test_a_licence_is_declared_where_the_records_name_one_and_concluded_nowhere(document):
    words = {one["spdxId"]: one["simplelicensing_licenseExpression"] for one in document["@graph"] if LICENCE in one}
    declared = {
        one["from"].split(":")[-1]: words.get(one["to"][0], "")
        for one in of_type(document, "Relationship")
        if one["relationshipType"] == "hasDeclaredLicense"
    }
    known = {thing.id for thing in planted_picture().things if thing.licences}
    assert known
    assert declared == {one: "CC-BY-4.0 AND CC0-1.0" if one in known else "" for one in declared}
    concluded = {to for _, to in related(document, "hasConcludedLicense")}
    assert concluded == {"expandedlicensing_NoAssertionLicense"}


def test_what_no_record_made_says_that_its_times_are_not_its_own(document):
    planted = planted_picture()
    made = {edge.source for edge in planted.edges if edge.kind == "generated"}
    packages = [one for kind in PROFILES for one in of_type(document, kind)]
    told = {one["spdxId"].split(":")[-1] for one in packages if "no record made it" in one.get("comment", "")}
    assert told
    assert told == {one["spdxId"].split(":")[-1] for one in packages} - made


def test_decisions_are_annotations(document):
    said = {one["subject"]: json.loads(one["statement"]) for one in of_type(document, "Annotation")}
    assert said[f"urn:easel:thing:{TAKEN_DOWN}"]["kind"] == "takedown"
    assert {one["kind"] for one in said.values()} == {"promotion", "takedown"}


def test_equal_records_in_any_order_give_equal_bytes():
    records, subject = planted_records()
    assert export_spdx3(picture(records[::-1], subject)) == export_spdx3(picture(records, subject))


def test_texts_of_the_data_stay_texts():
    check(json.loads(export_spdx3(hostile_picture(HOSTILE))))


def drop(document, kind):
    lost = next(one for one in document["@graph"] if one.get("relationshipType") == kind)
    document["@graph"].remove(lost)
    first(document, "SpdxDocument")["element"].remove(lost["spdxId"])


def first(document, kind):
    return of_type(document, kind)[0]


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda document: first(document, "Relationship").pop("from"), "from"),
        (lambda document: drop(document, "hasConcludedLicense"), "not one hasConcludedLicense"),
        (lambda document: drop(document, "hasInput"), "not one hasInput"),
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
