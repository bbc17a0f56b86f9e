"""What a registered version's tags say of its making, read off the files of a small workspace."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from flows.freshness import fingerprint
from flows.local import made_by_file
from flows.provenance import provenance, recipe_of


def entry(name: str, reads: list[str], makes: str) -> dict:
    return {
        "cmd": f"python -m flows stage {name}",
        "deps": [{"path": path, "md5": f"of-{path}"} for path in reads],
        "outs": [{"path": makes, "hash": "md5", "md5": f"made-by-{name}"}],
    }


STAGES = {
    "sample": entry("sample", ["data"], "artifacts/tables/selection.parquet"),
    "train": entry("train", ["artifacts/tables/selection.parquet", "components/train.py"], "artifacts/models/dpo"),
    "aside": entry("aside", ["data"], "artifacts/aside"),
    "export": entry("export", ["artifacts/models/dpo", "flows/stages/export.py"], "artifacts/export"),
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("EASEL_HOME", raising=False)
    (tmp_path / "infra" / "recipes").mkdir(parents=True)
    (tmp_path / "infra" / "recipes" / "smoke.yaml").write_text("train: {seed: 9}\ngate: {easel: 1}\n")
    (tmp_path / "params.yaml").write_text("train: {seed: 1}\ngate: {easel: 2}\n")
    (tmp_path / "data.dvc").write_text("outs:\n- md5: abc.dir\n  path: data\n")
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": STAGES}))
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "start"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=tmp_path, check=True)
    return tmp_path


def test_stages_data_recipe_and_code_are_named(root: Path) -> None:
    mark = fingerprint(STAGES["train"])
    made_by_file(root, mark).parent.mkdir(parents=True)
    made_by_file(root, mark).write_text(json.dumps({"mlflow_run_id": "r1"}))
    found = provenance(root, root / "artifacts" / "export")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True).stdout
    digest = found.pop("easel.params_sha256")
    assert found == {
        "easel.fingerprint.export": fingerprint(STAGES["export"]),
        "easel.fingerprint.train": mark,
        "easel.run.train": "r1",
        "easel.data.raw": "md5:abc.dir",
        "easel.data.selection": "md5:made-by-sample",
        "easel.recipe": "default",
        "mlflow.source.git.commit": commit.strip(),
        "easel.git_dirty": "false",
    }
    (root / "params.yaml").write_text("gate: {easel: 3}\ntrain: {seed: 1}\n")  # the gate makes nothing
    assert provenance(root, root / "artifacts" / "export")["easel.params_sha256"] == digest
    (root / "params.yaml").write_text("train: {seed: 2}\n")
    assert provenance(root, root / "artifacts" / "export")["easel.params_sha256"] != digest


def test_bytes_that_no_stage_made_have_no_stage(root: Path, tmp_path: Path) -> None:
    for made in (root / "artifacts" / "other", tmp_path.parent):
        assert not [key for key in provenance(root, made) if "fingerprint" in key or "run" in key]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("train: {seed: 9}\n", "smoke"),
        ("train: {seed: 9}\ngate: {}\n", "smoke"),
        ("train: {seed: 1}\ngate: {easel: 2}\n", "default"),
        ("train: {seed: 4}\n", "edited"),
    ],
)
def test_the_recipe_is_known_by_its_numbers(root: Path, text: str, name: str) -> None:
    (root / "params.yaml").write_text(text)
    assert recipe_of(root) == name


def test_the_signature_is_named_by_its_digest(root: Path) -> None:
    (root / "artifacts").mkdir()
    (root / "artifacts/export.model.sig").write_bytes(b"signed")
    found = provenance(root, root / "artifacts" / "export")
    assert found["easel.signature"] == "4a3cdfae6f291c8f544daea5b72905cf9e74c1ed427d831ad0d7ca00c73c794d"
