"""Registering in a real MLflow registry (SQLite): by content, with an alias, and found again."""

from pathlib import Path

import mlflow
import pytest

from components.registry.hashes import write_hashes
from components.registry.registration import ALIAS, DIGEST_TAG, Receipt, download, register_directory
from components.registry.resolve import resolve
from components.tracking import open_run

# MLflow 3.17 still uses what SQLAlchemy 2.1 deprecates; ours are errors, theirs are not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

NAME = "easel"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> dict:
    root = tmp_path_factory.mktemp("registry")
    return {"uri": f"sqlite:///{root}/mlflow.db", "artifact_root": root / "artifacts", "experiment": "easel"}


def export(directory: Path, content: str) -> str:
    (directory / "transformer").mkdir(parents=True)
    (directory / "model_index.json").write_text("{}")
    (directory / "transformer" / "w.safetensors").write_text(content)
    return write_hashes(directory)


def register(store: dict, directory: Path, digest: str) -> Receipt:
    with open_run("register", **store) as run:
        return register_directory(
            directory,
            uri=store["uri"],
            experiment="easel",
            source_run_id=run.run_id,
            name=NAME,
            digest=digest,
            tags={"easel.git_commit": "abc"},
            metrics={"style_accuracy": 0.625},
        )


def test_before_the_first_registration_the_answer_says_what_to_do(store: dict, tmp_path: Path) -> None:
    client = mlflow.MlflowClient(store["uri"])
    client.search_model_versions("name = 'easel'")
    with pytest.raises(ValueError, match="easel run"):
        resolve("latest", uri=store["uri"], name=NAME, workspace_export=tmp_path / "none")


def test_versions_follow_content(store: dict, tmp_path: Path) -> None:
    client = mlflow.MlflowClient(store["uri"])
    one = register(store, tmp_path / "one", export(tmp_path / "one", "first"))
    again = register(store, tmp_path / "one", one.digest)
    two = register(store, tmp_path / "two", export(tmp_path / "two", "second"))

    assert (one.version, again.version, two.version) == (1, 1, 2)
    assert (one.is_new, again.is_new, two.is_new) == (True, False, True)
    candidate = client.get_model_version_by_alias(NAME, ALIAS)
    assert int(candidate.version) == 2
    assert candidate.tags[DIGEST_TAG] == two.digest
    assert candidate.tags["easel.git_commit"] == "abc"
    (model,) = client.search_logged_models(
        [client.get_experiment_by_name("easel").experiment_id], f"tags.`{DIGEST_TAG}` = '{one.digest}'"
    )
    assert {metric.key: metric.value for metric in model.metrics} == {"style_accuracy": 0.625}

    nowhere = tmp_path / "none"
    for name, content in {"1": "first", "2": "second", ALIAS: "second", "latest": "second"}.items():
        found = resolve(name, uri=store["uri"], name=NAME, workspace_export=nowhere)
        assert (found / "transformer" / "w.safetensors").read_text() == content
    with pytest.raises(ValueError, match="there are: latest, candidate, 1, 2"):
        resolve("champion", uri=store["uri"], name=NAME, workspace_export=nowhere)


def test_the_registry_keeps_its_own_copy_and_notices_a_changed_byte(store: dict, tmp_path: Path) -> None:
    receipt = register(store, tmp_path / "own", export(tmp_path / "own", "third"))
    (tmp_path / "own" / "transformer" / "w.safetensors").write_text("overwritten by the next run")
    found = download(str(receipt.version), uri=store["uri"], name=NAME)
    assert (found / "transformer" / "w.safetensors").read_text() == "third"
    (found / "transformer" / "w.safetensors").write_text("thirD")
    with pytest.raises(ValueError, match=r"w\.safetensors"):
        download(str(receipt.version), uri=store["uri"], name=NAME)


def test_directories_are_taken_as_they_are(tmp_path: Path) -> None:
    export(tmp_path / "model", "x")
    arguments = {"uri": "unused", "name": NAME, "workspace_export": tmp_path / "model"}
    assert resolve(str(tmp_path / "model"), **arguments) == tmp_path / "model"
    assert resolve("latest", **arguments) == tmp_path / "model"
    with pytest.raises(ValueError, match="model_index"):
        resolve(str(tmp_path), **arguments)
    with pytest.raises(ValueError, match="no model directory"):
        resolve(str(tmp_path / "nothing"), **arguments)
