"""Versions and aliases of a real MLflow registry lead to the record of the export that they hold."""

from pathlib import Path

import mlflow
import pytest
from ledgers import Planted, sample_records

from components.lineage.graph import Graph
from flows import settings
from flows.lineage.model_references import UnknownReferenceError, export_of, find_record

# MLflow 3.17 still uses what SQLAlchemy 2.1 deprecates; ours are errors, theirs are not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


def register(client: mlflow.MlflowClient, source: Path, planted: Planted, end: str) -> int:
    """A version of Turbo with the tags that the stage `register_turbo` gives it, and its alias."""
    made = planted.record(f"export_turbo{end}")
    marks = {made.subject: made.fingerprint, "distill": planted.record(f"distill{end}").fingerprint}
    tags = {f"easel.fingerprint.{stage}": mark for stage, mark in marks.items()}
    version = client.create_model_version("easel-turbo", source=source.as_uri(), tags=tags).version
    client.set_registered_model_alias("easel-turbo", "candidate", str(version))
    return int(version)


def test_versions_and_aliases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home" / "mlflow").mkdir(parents=True)
    planted = sample_records(versions=2)
    graph = Graph(planted.records)
    client = mlflow.MlflowClient(settings.tracking_uri(tmp_path))
    client.create_registered_model("easel-turbo")
    first, second = (register(client, tmp_path, planted, end) for end in ("", "@2"))
    client.set_registered_model_alias("easel-turbo", "champion", str(first))
    for word, name in {
        f"turbo:{first}": "export_turbo",
        f"turbo:{second}": "export_turbo@2",
        "turbo:latest": "export_turbo@2",
        "turbo:champion": "export_turbo",
        "turbo:candidate": "export_turbo@2",
        f"easel-turbo:{first}": "export_turbo",  # as the registry and `easel lineage sample` call it
        "easel-turbo:candidate": "export_turbo@2",
    }.items():
        assert find_record(tmp_path, graph, word).id == planted.ids[name], word
        assert export_of(tmp_path, graph, word) == (planted.record(name), "artifacts/export_turbo")
    for word in ("turbo:9", "easel-turbo:9"):
        with pytest.raises(UnknownReferenceError) as error:
            find_record(tmp_path, graph, word)
        known = "easel-turbo has the versions and aliases latest, champion, 1, candidate, 2"
        assert str(error.value) == f"{word}: {known}"  # and not the stages, none of which was meant
    with pytest.raises(UnknownReferenceError, match=r"^easel:1: easel has no version yet$"):
        find_record(tmp_path, graph, "easel:1")
    with pytest.raises(UnknownReferenceError, match="nor is it a model: easel has no version yet"):
        find_record(tmp_path, graph, "candidate")
    unknown = Graph([planted.record("ingest")])
    with pytest.raises(UnknownReferenceError, match="version 1 of easel-turbo is registered, but no record tells how"):
        find_record(tmp_path, unknown, f"turbo:{first}")
