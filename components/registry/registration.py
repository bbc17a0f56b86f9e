"""Versions of the model in MLflow's registry: one per content, found again by its digest.

The source of a version is always a logged model that this module wrote itself, never a path or URI handed in from
outside: MLflow has read files through such sources (CVE-2026-2614). An alias moves only to a version that exists.
"""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Set before the import below, which is when MLflow decides; a person's own setting wins.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow.artifacts
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from components.registry.hashes import verified_digest

logging.getLogger("mlflow").setLevel(logging.WARNING)

DIGEST_TAG = "easel.sha256"
ALIAS = "candidate"


@dataclass(frozen=True)
class Receipt:
    """What registering gave: enough to find the version again and to check its bytes."""

    name: str
    version: int
    alias: str
    digest: str
    is_new: bool


def register_directory(
    directory: Path,
    *,
    uri: str,
    experiment: str,
    source_run_id: str | None,
    name: str,
    digest: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
) -> Receipt:
    """Register `directory` under `name` and point the alias `candidate` at it; the same digest gives the same version.

    `digest` is the directory's root digest; metrics are tied to the logged model and appear beside it in the UI.
    """
    client = MlflowClient(uri)
    version = find_by_digest(client, name, digest)
    is_new = version is None
    if version is None:
        all_tags = {**tags, DIGEST_TAG: digest}
        model = _log_model(client, directory, _experiment_id(client, experiment), source_run_id, name, all_tags)
        if source_run_id:
            _link_to_run(client, source_run_id, model.model_id, metrics)
        _ensure_model(client, name)
        all_tags |= {f"metric.{key}": f"{value:.4g}" for key, value in metrics.items()}
        # The location and not `models:/<id>`: MLflow resolves the latter at its process-wide URI, which may be another.
        version = client.create_model_version(
            name, source=model.artifact_location, run_id=source_run_id, model_id=model.model_id, tags=all_tags
        )
    client.set_registered_model_alias(name, ALIAS, str(version.version))
    return Receipt(name, int(version.version), ALIAS, digest, is_new)


def _experiment_id(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return found.experiment_id if found is not None else client.create_experiment(name)


def find_by_digest(client: MlflowClient, name: str, digest: str) -> ModelVersion | None:
    """The newest READY version of `name` with this digest, or None."""
    versions = client.search_model_versions(f"name = '{_quoted(name)}'")
    same = [v for v in versions if v.tags.get(DIGEST_TAG) == digest and v.status == "READY"]
    return max(same, key=lambda v: int(v.version), default=None)


def _quoted(name: str) -> str:
    if "'" in name or not name.strip():
        raise ValueError(f"model name {name!r} must not be empty or hold a quote")
    return name


def _ensure_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name, description="Text-to-image models made by easel; diffusers layout.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _log_model(
    client: MlflowClient,
    directory: Path,
    experiment_id: str,
    source_run_id: str | None,
    name: str,
    tags: Mapping[str, str],
) -> LoggedModel:
    """Copy the directory into the store as a logged model; a failed copy is marked so and never becomes a version."""
    model = client.create_logged_model(
        experiment_id, name=name, source_run_id=source_run_id, tags=dict(tags), model_type="diffusers"
    )
    try:
        client.log_model_artifacts(model.model_id, str(directory))
    except BaseException:
        client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
        raise
    return client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)


def _link_to_run(client: MlflowClient, run_id: str, model_id: str, metrics: Mapping[str, float]) -> None:
    """Show the model among the run's outputs and its metrics beside it."""
    now_ms = int(time.time() * 1000)
    points = [Metric(key, value, now_ms, 0, model_id=model_id) for key, value in metrics.items()]
    client.log_batch(run_id, metrics=points)
    client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])


def download(model: str, *, uri: str, name: str) -> Path:
    """The directory of a registered version, found by alias, number or "latest", with its digest checked.

    A store on this machine gives its own folder, uncopied; a server's files go to a new temporary folder.

    Raises:
        ValueError: naming the aliases and versions there are when there is no such version, or the changed file.
    """
    client = MlflowClient(uri)
    version = find_version(client, name, model)
    source = client.get_model_version_download_uri(name, version.version)
    directory = Path(mlflow.artifacts.download_artifacts(artifact_uri=source, tracking_uri=uri))
    if verified_digest(directory) != version.tags.get(DIGEST_TAG):
        raise ValueError(f"version {version.version} of {name} is not the model that was registered; register it again")
    return directory


def find_versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """All versions; ValueError if there is none."""
    versions = list(client.search_model_versions(f"name = '{_quoted(name)}'"))
    if not versions:
        raise ValueError(f"no model is registered under {name!r} yet; `easel run` makes and registers one")
    return versions


def find_version(client: MlflowClient, name: str, model: str) -> ModelVersion:
    """The version that a person calls `model`: by alias, number or "latest".

    Raises:
        ValueError: naming the aliases and versions there are.
    """
    versions = find_versions(client, name)
    by_number = {str(v.version): v for v in versions}
    if model == "latest":
        return max(versions, key=lambda v: int(v.version))
    if model in by_number:
        return by_number[model]
    aliases = client.get_registered_model(name).aliases
    if model in aliases:
        return by_number[str(aliases[model])]
    known = ", ".join([*sorted(aliases), *sorted(by_number, key=int)])
    raise ValueError(f"no model {model!r} in the registry; there are: latest, {known}")
