"""The one module that talks to MLflow's tracking store, through `MlflowClient` only.

The fluent API is not used: it keeps hidden global state, and importing its flavours costs seconds.
"""

import json
import logging
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

# Set before the import below, which is when MLflow decides; a person's own setting wins.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import numpy as np
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID

from components.tracking.names import safe_name
from components.tracking.run import Point

logging.getLogger("mlflow").setLevel(logging.WARNING)  # its import announces every table it creates
logging.getLogger("alembic").setLevel(logging.WARNING)

METRICS_PER_CALL = 1000
PARAMS_PER_CALL = 100
DIGEST_CHARS = 36  # the longest digest that MLflow stores; the whole one is in the tag beside it
SYSTEM_METRICS_EVERY_S = 5


class MlflowBackend:
    """One run in an MLflow store, written directly (SQLite, Postgres) or through a server."""

    def __init__(self, client: MlflowClient, uri: str, run_id: str, experiment_id: str) -> None:
        self._client = client
        self.uri = uri
        self.run_id = self.ref = run_id
        page = f"#/experiments/{experiment_id}/runs/{run_id}"
        self.url = f"{uri.rstrip('/')}/{page}" if uri.startswith("http") else page

    def log_points(self, points: list[Point]) -> None:
        """Store metric points, a thousand per call."""
        for start in range(0, len(points), METRICS_PER_CALL):
            part = points[start : start + METRICS_PER_CALL]
            metrics = [Metric(p.key, p.value, p.timestamp_ms, p.step) for p in part]
            self._client.log_batch(self.run_id, metrics=metrics)

    def log_params(self, params: dict[str, str]) -> None:
        """Store parameters, a hundred per call."""
        items = [Param(key, value) for key, value in params.items()]
        for start in range(0, len(items), PARAMS_PER_CALL):
            self._client.log_batch(self.run_id, params=items[start : start + PARAMS_PER_CALL])

    def set_tags(self, tags: dict[str, str]) -> None:
        """Store tags in one call."""
        self._client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def log_image(self, key: str, image_u8: np.ndarray, step: int) -> None:
        """Store a step-keyed image, which the UI shows as a panel with a slider."""
        self._client.log_image(self.run_id, image_u8, key=key, step=step, synchronous=True)

    def log_input(self, name: str, path: str, sha256: str, context: str) -> None:
        """Store a data set as metadata only: MLflow refuses sources such as `dvc://`, so the source is a path."""
        dataset = Dataset(name, sha256[:DIGEST_CHARS], source_type="local", source=json.dumps({"uri": path}))
        tags = [InputTag(MLFLOW_DATASET_CONTEXT, context), InputTag("sha256", sha256)]
        self._client.log_inputs(self.run_id, datasets=[DatasetInput(dataset, tags)])

    def log_artifact(self, path: Path, folder: str | None) -> None:
        """Copy a file, or a directory under its own name, below the run's artifact folder."""
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path), f"{folder}/{path.name}" if folder else path.name)
        else:
            self._client.log_artifact(self.run_id, str(path), folder)

    def end(self, status: str, time_ms: int | None = None) -> None:
        """Close the run, now or at the given time."""
        self._client.set_terminated(self.run_id, status, end_time=time_ms)


def create_run(
    name: str,
    *,
    uri: str,
    artifact_root: Path,
    experiment: str,
    parent: str | None,
    tags: Mapping[str, str],
    start_ms: int | None = None,
) -> MlflowBackend:
    """A new RUNNING run in `experiment`, which is created when it does not exist."""
    client = MlflowClient(uri)
    experiment_id = _experiment_id(client, uri, artifact_root, experiment)
    all_tags = {**tags, MLFLOW_PARENT_RUN_ID: parent} if parent else dict(tags)
    run = client.create_run(experiment_id, start_time=start_ms, run_name=name, tags=all_tags)
    return MlflowBackend(client, uri, run.info.run_id, experiment_id)


def reopen_run(uri: str, run_id: str) -> MlflowBackend:
    """A run that exists already."""
    client = MlflowClient(uri)
    return MlflowBackend(client, uri, run_id, client.get_run(run_id).info.experiment_id)


def _experiment_id(client: MlflowClient, uri: str, artifact_root: Path, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        is_local_store = uri.startswith("sqlite:")
        location = (artifact_root.resolve() / safe_name(name)).as_uri() if is_local_store else None
        try:
            return client.create_experiment(name, artifact_location=location)
        except MlflowException:
            # Another process may have created it since we looked; any other cause shows in the lookup below.
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return found.experiment_id


@contextmanager
def monitored(backend: MlflowBackend, *, enabled: bool) -> Generator[None]:
    """Sample CPU, memory, disk and network into the run while the block runs, if `enabled`."""
    if not enabled:
        yield
        return
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor  # imports psutil: only when asked for

    monitor = SystemMetricsMonitor(backend.run_id, sampling_interval=SYSTEM_METRICS_EVERY_S, tracking_uri=backend.uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
