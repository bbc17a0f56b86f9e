import json
import uuid
from collections import defaultdict
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlparse

import attr
import pytest
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    dataset_version_dataset,
    error_message_run,
    execution_parameters_run,
    job_type_job,
    lifecycle_state_change_dataset,
    ownership_dataset,
    parent_run,
)
from pictured import TAKEN_DOWN, hostile_picture, planted_picture, planted_records

from components.lineage.exporters.openlineage import export_openlineage, read_openlineage
from components.lineage.exporters.records import picture
from components.lineage.openlineage_events import EaselBytesDatasetFacet, EaselRecordRunFacet, Told, as_line, run_event

HOSTILE = 'a "quoted" <b>line</b>\n\u2028\u202e${x} \\ 图'
# The standard's own facets, as the client's generated classes have them, and ours.
FACETS = {
    "easel_record": (EaselRecordRunFacet,),
    "easel_bytes": (EaselBytesDatasetFacet,),
    "parent": (parent_run.ParentRunFacet,),
    "executionParameters": (execution_parameters_run.ExecutionParametersRunFacet,),
    "errorMessage": (error_message_run.ErrorMessageRunFacet,),
    "jobType": (job_type_job.JobTypeJobFacet,),
    "version": (dataset_version_dataset.DatasetVersionDatasetFacet,),
    "ownership": (ownership_dataset.OwnershipDatasetFacet,),
    "lifecycleStateChange": (lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet,),
}


def check(event):
    """Raise unless `event` is what the client's classes (generated from the standard's schema) take and give back."""
    fields = dict(event)
    assert fields.pop("schemaURL") == RunEvent._get_schema()
    given = {name: fields.pop(name) for name in ("run", "job", "inputs", "outputs")}
    run = {**given["run"], "facets": facets(given["run"])}
    job = {**given["job"], "facets": facets(given["job"])}
    made = RunEvent(
        run=Run(**run),
        job=Job(**job),
        inputs=[InputDataset(**{**one, "facets": facets(one)}) for one in given["inputs"]],
        outputs=[OutputDataset(**{**one, "facets": facets(one)}) for one in given["outputs"]],
        **{**fields, "eventType": RunState(fields["eventType"])},
    )
    assert datetime.fromisoformat(made.eventTime).tzinfo is not None
    assert uuid.UUID(made.run.runId).version == 5
    assert is_uri(made.producer)
    for one in (made.job, *made.inputs, *made.outputs):
        assert isinstance(one.namespace, str)
        assert isinstance(one.name, str)
        assert one.name


def facets(holder):
    """The holder's facets, made anew by their classes: unknown fields and missing ones are errors of theirs."""
    made = {}
    for name, facet in holder["facets"].items():
        kind = next(one for one in FACETS[name] if one._get_schema() == facet["_schemaURL"])
        assert is_uri(facet["_producer"])
        assert is_uri(facet["_schemaURL"])
        fields = {key: value for key, value in facet.items() if not key.startswith("_")}
        made[name] = kind(**read_as(kind, fields), producer=facet["_producer"])
        assert {one.name for one in attr.fields(kind) if one.default is attr.NOTHING} <= set(facet)
    return made


def read_as(kind, value):
    """The value as the annotation `kind` has it: the client's classes say what every field is, and check nothing."""
    if kind is Any or (kind is not None and value is None and NoneType in get_args(kind)):
        return value
    origin, parts = get_origin(kind), [one for one in get_args(kind) if one is not NoneType]
    if origin in (Union, UnionType):
        return read_as(next((one for one in parts if isinstance(value, get_origin(one) or one)), parts[0]), value)
    if origin is list:
        return [read_as(parts[0], one) for one in exactly(list, value)]
    if origin is dict:
        return {exactly(parts[0], key): read_as(parts[1], one) for key, one in exactly(dict, value).items()}
    if attr.has(kind):
        hints = get_type_hints(kind)
        return {key: read_as(hints[key], one) for key, one in exactly(dict, value).items()}
    return kind(value) if issubclass(kind, Enum) else exactly(kind, value)


def exactly(kind, value):
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind}")
    return value


def is_uri(text):
    return bool(urlparse(text).scheme)


@pytest.fixture(scope="module")
def events():
    return [json.loads(line) for line in export_openlineage(planted_picture()).splitlines()]


def test_every_event_is_what_the_clients_classes_take(events):
    for event in events:
        check(event)
    assert len(events) == 2 * len(planted_records()[0])


def test_what_is_read_back_has_the_same_nodes_and_edges():
    planted = planted_picture()
    assert read_openlineage(export_openlineage(planted)) == planted.outline


def test_facets_of_ours_are_named_as_the_standard_wants_those_of_others(events):
    keys = {(key, event["run"]["facets"][key]["_schemaURL"]) for event in events for key in event["run"]["facets"]}
    for event in events:
        for data in (*event["inputs"], *event["outputs"]):
            keys |= {(key, facet["_schemaURL"]) for key, facet in data["facets"].items()}
    ours = {key: url for key, url in keys if "openlineage.io" not in url}
    assert set(ours) == {"easel_record", "easel_bytes"}  # {prefix}_{name}, of {Prefix}{Name}{Entity}Facet
    assert "EaselRecordRunFacet" in ours["easel_record"]
    assert "EaselBytesDatasetFacet" in ours["easel_bytes"]


def test_every_run_starts_once_and_ends_once_in_order(events):
    states = defaultdict(list)
    for event in events:
        states[event["run"]["runId"]].append(event["eventType"])
    assert set(map(tuple, states.values())) == {("START", "COMPLETE")}
    assert [event["eventTime"] for event in events] == sorted(event["eventTime"] for event in events)


def test_stages_of_a_build_name_it_as_their_parent(events):
    parents = {event["run"]["facets"]["parent"]["run"]["runId"] for event in events if event["job"]["name"] == "sft"}
    others = {event["run"]["facets"]["parent"]["run"]["runId"] for event in events if event["job"]["name"] == "encode"}
    assert len(parents) == 1
    assert parents == others


def test_a_takedown_drops_the_sample(events):
    dropped = [
        dataset["facets"]["easel_bytes"]["sha256"]
        for event in events
        for dataset in event["outputs"]
        if dataset["facets"].get("lifecycleStateChange", {}).get("lifecycleStateChange") == "DROP"
    ]
    assert dropped == [TAKEN_DOWN]


def test_equal_records_in_any_order_give_equal_bytes():
    records, subject = planted_records()
    assert export_openlineage(picture(records[::-1], subject)) == export_openlineage(picture(records, subject))


def test_texts_of_the_data_stay_texts_on_one_line_an_event():
    planted = hostile_picture(HOSTILE)
    text = export_openlineage(planted)
    assert text.count("\n") == 2
    assert read_openlineage(text) == planted.outline


def test_a_failure_says_why():
    told = Told("sft", str(uuid.uuid5(uuid.NAMESPACE_URL, "x")))
    event = json.loads(as_line(run_event("FAIL", "2026-11-21T20:00:00.000Z", told, error="the disk is full")))
    check(event)
    assert event["run"]["facets"]["errorMessage"]["message"] == "the disk is full"


@pytest.mark.parametrize(
    "mistake",
    [
        lambda event: event.pop("eventTime"),
        lambda event: event.update(eventTime="2026-11-21"),
        lambda event: event.update(eventType="DONE"),
        lambda event: event["run"].update(runId="7"),
        lambda event: event["job"].pop("namespace"),
        lambda event: event.update(colour="red"),
        lambda event: event["run"]["facets"]["easel_record"].pop("_producer"),
        lambda event: event["run"]["facets"]["easel_record"].update(_schemaURL="nowhere"),
        lambda event: event["run"]["facets"]["parent"].pop("job"),
        lambda event: event["outputs"][0]["facets"]["version"].update(version=3),
        lambda event: event["outputs"][0]["facets"]["version"].update(datasetVersion=3),
        lambda event: event["outputs"][0]["facets"]["easel_bytes"].update(size="3"),
        lambda event: event["run"]["facets"]["parent"]["run"].update(runId=3),
        lambda event: event["run"]["facets"]["parent"]["job"].update(colour="red"),
        lambda event: event["job"]["facets"]["jobType"].update(integration=None),
    ],
)
def test_a_planted_mistake_is_refused(events, mistake):
    broken = json.loads(json.dumps(next(event for event in events if event["outputs"])))
    mistake(broken)
    with pytest.raises((ValueError, TypeError, KeyError, StopIteration, AssertionError)):
        check(broken)


def test_a_line_that_is_no_event_is_named():
    with pytest.raises(ValueError, match="line 2 is no OpenLineage event of ours"):
        read_openlineage(export_openlineage(planted_picture()).splitlines()[0] + "\n{}\n")
