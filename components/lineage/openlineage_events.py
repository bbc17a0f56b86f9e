"""OpenLineage run events as we write them, live and on export: the client's own classes and two facets of ours.

A job is a stage, a run one execution of it, a data set a file, folder or sample set by its path; all of one workspace
stand in one namespace, since paths are relative and two workspaces may have the same. What OpenLineage has
no word for (roles, digests, samples, derivations) stands in the facets `easel_record` and `easel_bytes`.
Source: https://openlineage.io/spec/2-0-2/OpenLineage.json; custom facets: https://openlineage.io/docs/spec/facets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import attr
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    DatasetFacet,
    RunFacet,
    dataset_version_dataset,
    error_message_run,
    execution_parameters_run,
    job_type_job,
    lifecycle_state_change_dataset,
    ownership_dataset,
    parent_run,
)
from openlineage.client.serde import Serde

from components.lineage.exporters.model import PRODUCER, uuid_of

NAMESPACE = "easel"
BUILD_JOB = "build"
OF_RUN, OF_DATA = "easel_record", "easel_bytes"
"""Keys of our facets; the standard wants `{prefix}_{name}` for those that it does not define."""
State = Literal["START", "COMPLETE", "FAIL", "ABORT"]
_OURS: dict[str, Any] = {"producer": PRODUCER}


@attr.define
class EaselBytesDatasetFacet(DatasetFacet):
    """What the ledger knows of bytes: digest, kind, the roles they had in this run, and what they come from."""

    kind: str = ""
    sha256: str = ""
    roles: list[str] = attr.field(factory=list)
    size: int = 0
    count: int = 0
    licences: dict[str, int] = attr.field(factory=dict)
    edges: dict[str, list[str]] = attr.field(factory=dict)

    @staticmethod
    def _get_schema() -> str:
        return "urn:easel:openlineage:EaselBytesDatasetFacet:1"


@attr.define
class EaselRecordRunFacet(RunFacet):
    """What the ledger knows of a run: its record, whom it concerns, what it stands on, and its facts as text."""

    record: str = ""
    kind: str = ""
    people: dict[str, str] = attr.field(factory=dict)
    parents: list[str] = attr.field(factory=list)
    facts: dict[str, str] = attr.field(factory=dict)
    measures: dict[str, str] = attr.field(factory=dict)
    checks: dict[str, str] = attr.field(factory=dict)
    notes: list[str] = attr.field(factory=list)

    @staticmethod
    def _get_schema() -> str:
        return "urn:easel:openlineage:EaselRecordRunFacet:1"


@dataclass(frozen=True)
class Data:
    """A data set as one run saw it; `about` are the fields of `EaselBytesDatasetFacet`."""

    name: str
    version: str = ""
    owners: Sequence[str] = ()
    is_dropped: bool = False
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Told:
    """One execution of a job, as its events tell it.

    Args:
        run: a UUID. parent: UUID of the build's run, "" for none.
        namespace: of the job, its build and all data sets.
        about: the fields of `EaselRecordRunFacet`.
    """

    job: str
    run: str
    parent: str = ""
    namespace: str = NAMESPACE
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])


def build_run(namespace: str, build: str, host: str) -> str:
    """The UUID of a build's run: the same live and on export."""
    return uuid_of("build", namespace, build, host)


def stage_run(namespace: str, build: str, host: str, stage: str, attempt: int = 1) -> str:
    """The UUID of a stage's run in a build: the same live and, of a stage that was not tried again, on export."""
    return uuid_of("run", namespace, build, host, stage, str(attempt))


def run_event(
    state: State, at: str, told: Told, *, inputs: Sequence[Data] = (), outputs: Sequence[Data] = (), error: str = ""
) -> RunEvent:
    """The event that `told` came into `state` at a time (ISO 8601)."""
    return RunEvent(
        eventTime=at,
        eventType=RunState(state),
        run=Run(runId=told.run, facets=_run_facets(told, error)),
        job=Job(namespace=told.namespace, name=told.job, facets={"jobType": _job_type(told)}),
        inputs=[InputDataset(told.namespace, data.name, facets=_dataset_facets(data)) for data in inputs],
        outputs=[OutputDataset(told.namespace, data.name, facets=_dataset_facets(data)) for data in outputs],
        producer=PRODUCER,
    )


def as_line(event: RunEvent) -> str:
    """The event as one line of ASCII JSON, keys in order: what the client's transports write."""
    return Serde.to_json(event)


def _job_type(told: Told) -> job_type_job.JobTypeJobFacet:
    kind = "JOB" if told.job == BUILD_JOB else "TASK"
    return job_type_job.JobTypeJobFacet(processingType="BATCH", integration="EASEL", jobType=kind, **_OURS)


def _run_facets(told: Told, error: str) -> dict[str, RunFacet]:
    facets: dict[str, RunFacet] = {OF_RUN: EaselRecordRunFacet(**told.about, **_OURS)} if told.about else {}
    if told.parent:
        job = parent_run.Job(namespace=told.namespace, name=BUILD_JOB)
        facets["parent"] = parent_run.ParentRunFacet(parent_run.Run(runId=told.parent), job, **_OURS)
    if told.parameters:
        given = [
            execution_parameters_run.ExecutionParameter(key=key, name=key, value=value)
            for key, value in told.parameters.items()
        ]
        facets["executionParameters"] = execution_parameters_run.ExecutionParametersRunFacet(given, **_OURS)
    if error:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(error, "python", **_OURS)
    return facets


def _dataset_facets(data: Data) -> dict[str, DatasetFacet]:
    facets: dict[str, DatasetFacet] = {OF_DATA: EaselBytesDatasetFacet(**data.about, **_OURS)}
    if data.version:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(data.version, **_OURS)
    if data.owners:
        owners = [ownership_dataset.Owner(name=name) for name in data.owners]
        facets["ownership"] = ownership_dataset.OwnershipDatasetFacet(owners, **_OURS)
    if data.is_dropped:
        dropped = lifecycle_state_change_dataset.LifecycleStateChange.DROP
        facets["lifecycleStateChange"] = lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet(
            dropped, **_OURS
        )
    return facets
