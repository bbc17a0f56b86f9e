import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from pictured import TAKEN_DOWN, hostile_picture, planted_picture, planted_records

from components.lineage.exporters.cyclonedx import export_cyclonedx
from components.lineage.exporters.records import picture

HOSTILE = 'a "quoted" <b>line</b>\n\u2028\u202e${x} \\ 图'
VALIDATOR = JsonStrictValidator(SchemaVersion.V1_7)


def fault(document):
    """What the official strict schema has against the document; None if nothing."""
    return VALIDATOR.validate_str(json.dumps(document))


def refs(value, names=("bom-ref",)):
    """Every value of the named keys, wherever it stands."""
    if isinstance(value, dict):
        own = [found for name in names for found in [value.get(name)] if isinstance(found, str)]
        return own + [one for part in value.values() for one in refs(part, names)]
    return [one for part in value for one in refs(part, names)] if isinstance(value, list) else []


@pytest.fixture(scope="module")
def document():
    return json.loads(export_cyclonedx(planted_picture()))


def test_the_official_strict_schema_takes_it(document):
    assert fault(document) is None


def test_every_reference_leads_somewhere_and_names_are_given_once(document):
    given = refs(document)
    assert len(given) == len(set(given))
    named = refs(document, ("ref",))
    named += [one for part in document["dependencies"] for one in part.get("dependsOn", ())]
    workflow = document["formulation"][0]["workflows"][0]
    named += [one for part in workflow["taskDependencies"] for one in part.get("dependsOn", ())]
    named += [one for annotation in document["annotations"] for one in annotation["subjects"]]
    assert set(named) <= set(given)


def test_it_is_about_the_exported_model_with_card_data_and_figures(document):
    root = document["metadata"]["component"]
    assert root["type"] == "machine-learning-model"
    assert root["name"] == "artifacts/export_turbo"
    card = root["modelCard"]
    assert {"type": "evaluate.alignment", "value": "0.31"} in card["quantitativeAnalysis"]["performanceMetrics"]
    assert {"name": "easel:parameter:pretrain_1.lr", "value": "0.001"} in card["properties"]
    kinds = {one["bom-ref"]: one["type"] for one in document["components"]}
    trained_on = {one["ref"] for one in card["modelParameters"]["datasets"]}
    assert trained_on
    assert {kinds[one] for one in trained_on} == {"data"}


def test_only_an_exported_pipeline_is_said_to_draw(document):
    models = [document["metadata"]["component"], *(one for one in document["components"] if "modelCard" in one)]
    tasks = {one["name"]: one["modelCard"]["modelParameters"].get("task") for one in models}
    assert tasks.pop("artifacts/export_turbo") == tasks.pop("artifacts/export") == "text-to-image"
    assert "data/autoencoder" in tasks
    assert set(tasks.values()) == {None}


def test_the_card_lists_every_set_that_reached_the_weights(document):
    records, _ = planted_records()
    drawn = {one.root for record in records for one in record.samples.sets if one.role == "drawn"}
    listed = {one["ref"] for one in document["metadata"]["component"]["modelCard"]["modelParameters"]["datasets"]}
    assert {f"thing:{root}" for root in drawn} <= listed


def test_every_stage_is_a_task_with_its_inputs_and_outputs(document):
    records, _ = planted_records()
    tasks = {one["uid"]: one for one in document["formulation"][0]["workflows"][0]["tasks"]}
    assert set(tasks) == {record.id for record in records if record.kind == "stage"}
    for record in records:
        if record.kind == "stage":
            made = {one["resource"]["ref"] for one in tasks[record.id]["outputs"]}
            assert {f"thing:{item.sha256}" for item in record.outputs} <= made


def test_decisions_are_annotations(document):
    said = {json.loads(one["text"])["kind"]: one["subjects"] for one in document["annotations"]}
    assert said["takedown"] == [f"thing:{TAKEN_DOWN}"]
    assert set(said) == {"promotion", "takedown"}


def test_equal_records_in_any_order_give_equal_bytes():
    records, subject = planted_records()
    assert export_cyclonedx(picture(records[::-1], subject)) == export_cyclonedx(picture(records, subject))


def test_texts_of_the_data_stay_texts():
    assert fault(json.loads(export_cyclonedx(hostile_picture(HOSTILE)))) is None


@pytest.mark.parametrize(
    "mistake",
    [
        lambda document: document.pop("bomFormat"),
        lambda document: document.update(colour="red"),
        lambda document: document.update(serialNumber="7"),
        lambda document: document["components"][0].pop("name"),
        lambda document: document["components"][0].update(type="picture"),
        lambda document: document["metadata"]["component"]["modelCard"].update(hyperparameters=[]),
        lambda document: document["metadata"]["component"]["hashes"][0].update(content="no digest"),
        lambda document: document["formulation"][0]["workflows"][0].pop("uid"),
        lambda document: document["formulation"][0]["workflows"][0]["tasks"][0].update(taskTypes=["paint"]),
        lambda document: document["annotations"][0].pop("annotator"),
        lambda document: document["components"].append(document["components"][0]),
    ],
)
def test_a_planted_mistake_is_refused(document, mistake):
    broken = json.loads(json.dumps(document))
    mistake(broken)
    assert fault(broken) is not None
