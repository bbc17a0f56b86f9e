"""The pipeline as a Prefect flow: one task per stage, in order, each making the local executor's call.

Prefect decides when: order, retries, logs, notices. It caches nothing (DVC does) and reads no parameters.
"""

from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.events.worker import EventsWorker
from prefect.logging import get_run_logger
from prefect.logging.handlers import APILogWorker
from prefect.states import Completed

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
    try:
        build.with_options(flow_run_name=name)(str(root), name, force=force)
    finally:
        # The API may be a private server that ends with this run; what is still queued would wait a minute for it.
        APILogWorker.drain_all(timeout=10)
        EventsWorker.drain_all(timeout=10)
