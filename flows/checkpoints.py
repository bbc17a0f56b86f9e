"""Where a stage finds the checkpoints of an earlier, killed attempt at exactly what it is about to do.

They lie outside DVC's outputs, below EASEL_HOME, by what the stage is made from: parameters, inputs and code. Where it
runs (the profile) is no part of that. They go when DVC has committed what came of them.
"""

import hashlib
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import rfc8785
import yaml
from pydantic import BaseModel

from components.training.checkpoint_store import CheckpointStore, keep_newest, newest_name, not_continued
from flows import settings
from flows.declaration import Stage
from flows.reports import remark


def code_digest(stage: Stage, root: Path) -> str:
    """SHA-256 over the code files (and the lock) that dvc.yaml lists for the stage."""
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    files = [root / path for path in stages[stage.name]["deps"] if path.endswith((".py", ".lock"))]
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def identity_of(stage: Stage, params: BaseModel, root: Path) -> dict[str, Any]:
    """What the stage's result depends on, by content: plain JSON values."""
    from components.registry.hashes import path_sha256

    return {
        "stage": stage.name,
        "params": params.model_dump(mode="json"),
        "inputs": {role: path_sha256(root / artifact.path) for role, artifact in stage.inputs.items()},
        "code": code_digest(stage, root),
    }


def store_of(identity: dict[str, Any], root: Path) -> CheckpointStore:
    """The checkpoints of exactly that; one that is refused is told."""
    stage, fingerprint = identity["stage"], hashlib.sha256(rfc8785.dumps(identity)).hexdigest()[:16]
    warn = partial(remark, stage)
    return CheckpointStore(settings.checkpoints(root) / stage / fingerprint, identity, warn=warn)


def make_ready(store: CheckpointStore, identity: dict[str, Any]) -> None:
    """Before any rank starts: clear what killed attempts left; say whether an unfinished run goes on, or why not."""
    if name := newest_name(store.directory):
        remark(identity["stage"], f"goes on from checkpoint {name}")
    elif line := not_continued(store.directory, identity):
        remark(identity["stage"], f"an unfinished run is {line}")
    store.clear_leftovers()
    keep_newest(store.directory, settings.MAX_UNFINISHED)


def forget(directory: str) -> None:
    """Remove the checkpoints of a stage whose outputs are committed."""
    if directory:
        shutil.rmtree(directory, ignore_errors=True)
