"""Where a registered version comes from: the tags that say by which stages, of which data, recipe and code it was made.

All of it is read off dvc.lock, data.dvc, params.yaml and git, as they stand when the version is registered.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from components.lineage.model_signature import signature_file
from components.registry.hashes import canonical_json
from flows.freshness import fingerprint, lock_entries, output_hashes
from flows.local import made_by_file
from flows.parameters import GATE_BLOCK, PARAMS_FILE, read_blocks
from flows.workspace import git, git_state

SELECTION = "artifacts/tables/selection.parquet"


def provenance(root: Path, made: Path) -> dict[str, str]:
    """Tags of the version whose bytes are a stage's output `made`; what is not known is left out.

    `easel.fingerprint.STAGE` and `easel.run.STAGE` (an MLflow run) are of the stage that wrote `made` and of those
    whose outputs it read; `easel.data.*` are DVC's digests of the raw data and of the selection that training saw,
    `easel.signature` is the SHA-256 of the model's signature.
    """
    entries, path = lock_entries(root), made.absolute()
    maker = _maker_of(path.relative_to(root).as_posix(), entries) if path.is_relative_to(root) else ""
    stages = [maker, *_read_from(entries[maker], entries)] if maker else []
    marks = {stage: fingerprint(entries[stage]) for stage in stages}
    found = {f"easel.fingerprint.{stage}": mark for stage, mark in marks.items()}
    found |= {f"easel.run.{stage}": _run_of(root, mark) for stage, mark in marks.items()}
    found |= {"easel.data.raw": _raw_digest(root), "easel.data.selection": _all_outputs(entries).get(SELECTION, "")}
    found |= {"easel.signature": _signature_digest(path)}
    found |= {"easel.recipe": recipe_of(root), "easel.params_sha256": _params_digest(root), **git_state(root).tags}
    return {key: value for key, value in found.items() if value}


def recipe_of(root: Path) -> str:
    """The recipe that params.yaml holds, by name: `default` is the committed file, `edited` another, "" none."""
    if not (root / PARAMS_FILE).is_file():
        return ""
    now = _of_stages(root / PARAMS_FILE)
    recipes = sorted((root / "infra" / "recipes").glob("*.yaml"))
    if names := [file.stem for file in recipes if _of_stages(file) == now]:
        return names[0]
    return "edited" if git(root, "status", "--porcelain", "--", PARAMS_FILE) else "default"


def _maker_of(path: str, entries: Mapping[str, Any]) -> str:
    return next((stage for stage, entry in entries.items() if path in output_hashes(entry)), "")


def _read_from(entry: Mapping[str, Any], entries: Mapping[str, Any]) -> list[str]:
    makers = (_maker_of(dependency["path"], entries) for dependency in entry.get("deps", ()))
    return list(dict.fromkeys(filter(None, makers)))


def _signature_digest(made: Path) -> str:
    """SHA-256 of the signature beside what was made; "" if it is not signed."""
    file = signature_file(made)
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def _all_outputs(entries: Mapping[str, Any]) -> dict[str, str]:
    return {path: digest for entry in entries.values() for path, digest in output_hashes(entry).items()}


def _run_of(root: Path, mark: str) -> str:
    """The MLflow run that made what the fingerprint names; "" where it was made elsewhere."""
    file = made_by_file(root, mark)
    return json.loads(file.read_text(encoding="utf-8"))["mlflow_run_id"] if file.is_file() else ""


def _raw_digest(root: Path) -> str:
    file = root / "data.dvc"
    return f"md5:{yaml.safe_load(file.read_text(encoding='utf-8'))['outs'][0]['md5']}" if file.is_file() else ""


def _params_digest(root: Path) -> str:
    file = root / PARAMS_FILE
    return hashlib.sha256(canonical_json(_of_stages(file))).hexdigest() if file.is_file() else ""


def _of_stages(file: Path) -> dict[str, Any]:
    """The blocks that decide what is made: all but the gate."""
    return {name: block for name, block in read_blocks(file).items() if name != GATE_BLOCK}
