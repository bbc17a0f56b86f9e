"""Prefect's flows: the pipeline, one task per stage, in order; and the promotion of a version.

Each makes the call that is made without Prefect too. Prefect decides when: order, retries, logs, notices. It caches
nothing (DVC does) and reads no parameters.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.events.worker import EventsWorker
from prefect.logging import get_run_logger
from prefect.logging.handlers import APILogWorker
from prefect.states import Completed, Failed

from flows import promote as promotion
from flows import settings
from flows.freshness import FreshnessError
from flows.local import execute, load_build
from flows.pipeline import PIPELINE

RETRIES, RETRY_DELAY_S = 1, 5


def worth_retrying(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """Not after a person's mistake: bad data, parameters or a full disk stay what they are; nor when told to stop."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, FreshnessError) and getattr(error, "is_worth_retrying", True)


@task(
    cache_policy=NO_CACHE,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_S,
    retry_condition_fn=worth_retrying,
    persist_result=False,
)
def run_stage(root: str, build: str, stage: str, *, force: bool) -> State[Any]:
    """Bring one stage up to date."""
    outcome = execute(load_build(Path(root), build), stage, force=force)
    uri = settings.tracking_uri(Path(root))
    create_markdown_artifact(
        key=f"mlflow-{stage.replace('_', '-')}",
        markdown=f"MLflow run `{outcome.mlflow_run_id or 'unknown: made elsewhere'}` in `{uri}`",
        description=f"{stage}: {outcome.state}",
    )
    made_by = f"MLflow run {outcome.mlflow_run_id}"
    get_run_logger().info("%s: %s in %.1f s, %s", stage, outcome.state, outcome.seconds, made_by)
    return Completed(name="Completed" if outcome.state == "ran" else "Cached", message=made_by)


@flow(name="build", persist_result=False)
def build(root: str, name: str, *, force: bool = False) -> None:
    """Run the stages of the build `name`, in order; a stage waits for those whose outputs it reads."""
    states: dict[str, State[Any]] = {}
    for stage in load_build(Path(root), name).stages:
        above = [states[parent] for parent in PIPELINE[stage].upstream if parent in states]
        named = run_stage.with_options(name=stage, description=PIPELINE[stage].description, task_run_name=stage)
        states[stage] = named(root, name, stage, force=force, return_state=True, wait_for=above)
        states[stage].result()  # a failed stage ends the flow here, with its own error


def run_flow(root: Path, name: str, *, force: bool = False) -> None:
    """Run the build as a flow run of that name, on the API that the environment names.

    Raises:
        StageFailedError: as the local executor.
    """
    with _told_to_the_end():
        build.with_options(flow_run_name=name)(str(root), name, force=force)


@flow(name="promote", persist_result=False)
def promote(root: str, version: str, *, reason: str, by: str, override: bool) -> State[promotion.Outcome]:
    """Decide whether `version` becomes champion, as `easel promote` does; the run fails where the gate refuses."""
    outcome = promotion.promote(Path(root), version, reason=reason, by=by, override=override)
    told = f"version {outcome.version} of {outcome.name}: {outcome.result}"
    create_markdown_artifact(key="promotion", markdown=checks_markdown(outcome), description=told)
    get_run_logger().info("%s; champion before: %s", told, outcome.before or "none")
    match outcome.result:
        case "promoted":
            return Completed(name="Promoted", message=told, data=outcome)
        case "waits for a second person":
            return Completed(name="Waiting", message=told, data=outcome)
        case "refused by the gate":
            return Failed(name="Refused", message=told, data=outcome)


def checks_markdown(outcome: promotion.Outcome) -> str:
    """What the gate found, as a table."""
    rows = [asdict(check) for check in outcome.checks]
    lines = [f"| {row['rule']['metric']} | {row['value']} | {row['champion']} | {row['verdict']} |" for row in rows]
    return "\n".join(["| metric | version | champion | verdict |", "|---|--:|--:|---|", *lines])


def run_promotion(root: Path, version: str, *, reason: str, by: str, override: bool) -> promotion.Outcome:
    """What `flows.promote.promote` says, decided in a flow run on the API that the environment names.

    Raises:
        ValueError: as that function.
    """
    with _told_to_the_end():
        state = promote(str(root), version, reason=reason, by=by, override=override, return_state=True)
    found: Any = state.result(raise_on_failure=False)  # pyright takes it for the state that the flow returned
    if isinstance(found, BaseException):
        raise found
    return found


@contextmanager
def _told_to_the_end() -> Generator[None]:
    try:
        yield
    finally:
        # The API may be a private server that ends with this run; what is still queued would wait a minute for it.
        APILogWorker.drain_all(timeout=10)
        EventsWorker.drain_all(timeout=10)
