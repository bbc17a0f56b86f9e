"""The alias `champion` of a registered model: who holds it, how it moves, and the history that MLflow keeps with it.

Each decision is one tag of the registered model, so it is written whole or not at all; `components.registry.decisions`
says how a record and the alias together tell what happened. MLflow has no transaction over both, and nothing here is
safe against two machines in the same instant: callers hold a lock, and a move that finds another's gives way.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from components.registry.decisions import (
    Decision,
    PromotionError,
    Request,
    decision_from_json,
    request_from_json,
    settled,
    to_json,
)
from components.registry.registration import DIGEST_TAG, download, find_version, find_versions

CHAMPION = "champion"
DECISION_TAG, REQUEST_TAG = "easel.decision.", "easel.request."
METRIC_TAG = "metric."


@dataclass(frozen=True)
class Candidate:
    """A registered version as the gate sees it: what was measured of it, to the digits that MLflow shows.

    `digest` is "" for one that easel did not register, or did not finish.
    """

    name: str
    number: int
    digest: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Standing:
    """Who is champion, how it came to be, and what waits for a second person, by version."""

    champion: int | None
    history: list[Decision]
    requests: dict[int, Request]

    @property
    def next_number(self) -> int:
        """The number of the next decision."""
        return self.history[-1].number + 1 if self.history else 1


def candidate(uri: str, name: str, model: str) -> Candidate:
    """The version that a person calls `model`; ValueError, naming what there is, if there is none."""
    return _candidate(find_version(MlflowClient(uri), name, model))


def candidates(uri: str, name: str) -> list[Candidate]:
    """Every finished version of easel's, oldest first."""
    found = [_candidate(version) for version in find_versions(MlflowClient(uri), name)]
    return sorted((one for one in found if one.digest), key=lambda one: one.number)


def _candidate(version: ModelVersion) -> Candidate:
    values = {key.removeprefix(METRIC_TAG): value for key, value in version.tags.items() if key.startswith(METRIC_TAG)}
    digest = version.tags.get(DIGEST_TAG, "") if version.status == "READY" else ""
    return Candidate(version.name, int(version.version), digest, _finite(values))


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    """The values that are numbers; a tag that somebody changed into something else counts as not measured."""
    found: dict[str, float] = {}
    for key, value in values.items():
        with suppress(ValueError):
            found[key] = float(value)
    return {key: value for key, value in found.items() if math.isfinite(value)}


def run_metrics(uri: str, run_id: str) -> dict[str, float]:
    """The last value of every metric of a run; ValueError if there is no such run."""
    try:
        return _finite(MlflowClient(uri).get_run(run_id).data.metrics)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise PromotionError(f"MLflow has no run {run_id}; give a run, a version or an alias that it has") from None


def check_whole(uri: str, found: Candidate) -> None:
    """ValueError if the version is not easel's, or its files on this machine are not those that were registered.

    Files behind a server are checked when they are downloaded to be used.
    """
    if not found.digest:
        raise PromotionError(
            f"version {found.number} of {found.name} is no finished model of easel's; register it again"
        )
    where = MlflowClient(uri).get_model_version_download_uri(found.name, str(found.number))
    if where.startswith(("file:", "/")):
        download(str(found.number), uri=uri, name=found.name)


def standing(uri: str, name: str, noticed_at: str) -> Standing:
    """What the registry says now; nothing is written."""
    return _standing(_registered(MlflowClient(uri), name), noticed_at)


def settle(uri: str, name: str, noticed_at: str) -> Standing:
    """What the registry says, after finishing or clearing away what a killed process left of a decision."""
    client = MlflowClient(uri)
    model = _registered(client, name)
    stored, now = _decisions(model), _standing(model, noticed_at)
    for decision in now.history:
        if stored.pop(decision.number, None) != decision:
            _finish(client, name, decision)
    for number in stored:
        client.delete_registered_model_tag(name, _decision_key(number))
    return now


def ask(uri: str, name: str, request: Request) -> None:
    """Keep what the first of two persons asks for; a later request for the same version replaces it."""
    MlflowClient(uri).set_registered_model_tag(name, f"{REQUEST_TAG}{request.version}", to_json(request))


def carry_out(uri: str, name: str, decision: Decision) -> None:
    """Move the alias as `decision` says, and keep the decision: begun, moved, done.

    Raises:
        PromotionError: another process decided meanwhile; nothing is moved.
    """
    client = MlflowClient(uri)
    key, begun = _decision_key(decision.number), to_json(replace(decision, is_done=False))
    client.set_registered_model_tag(name, key, begun)
    model = _registered(client, name)
    if model.tags.get(key) != begun or _champion(model) != decision.before:
        if model.tags.get(key) == begun:
            client.delete_registered_model_tag(name, key)
        raise PromotionError(f"the champion of {name} was changed by somebody else just now; look at it and try again")
    if decision.version is None:
        client.delete_registered_model_alias(name, CHAMPION)
    else:
        client.set_registered_model_alias(name, CHAMPION, str(decision.version))
    _finish(client, name, decision)


def _finish(client: MlflowClient, name: str, decision: Decision) -> None:
    """What follows the move of the alias, each step harmless when repeated; the mark that it is done comes last."""
    if decision.kind != "outside" and decision.version is not None:
        told = {
            "decision": decision.kind,
            "reason": decision.reason,
            "by": decision.by,
            "asked_by": decision.asked_by,
            "at": decision.at,
            "override": str(decision.is_override).lower(),
        }
        for key, value in told.items():
            client.set_model_version_tag(name, str(decision.version), f"easel.promotion.{key}", value)
        client.delete_registered_model_tag(name, f"{REQUEST_TAG}{decision.version}")
    client.set_registered_model_tag(name, _decision_key(decision.number), to_json(replace(decision, is_done=True)))


def _decision_key(number: int) -> str:
    return f"{DECISION_TAG}{number:06d}"


def _registered(client: MlflowClient, name: str) -> RegisteredModel:
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise PromotionError(
            f"no model is registered under {name!r} yet; `easel run` makes and registers one"
        ) from None


def _champion(model: RegisteredModel) -> int | None:
    held = model.aliases.get(CHAMPION)
    return int(held) if held is not None else None


def _decisions(model: RegisteredModel) -> dict[int, Decision]:
    found = [
        decision_from_json(text, f"the tag {key} of {model.name}")
        for key, text in sorted(model.tags.items())
        if key.startswith(DECISION_TAG)
    ]
    return {decision.number: decision for decision in found}


def _standing(model: RegisteredModel, noticed_at: str) -> Standing:
    champion = _champion(model)
    requests = [
        request_from_json(text, f"the tag {key} of {model.name}")
        for key, text in model.tags.items()
        if key.startswith(REQUEST_TAG)
    ]
    history = settled(list(_decisions(model).values()), champion, noticed_at)
    return Standing(champion, history, {request.version: request for request in requests})
