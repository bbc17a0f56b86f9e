"""Every word that a person may give means the record that it should; MLflow is asked for versions and aliases alone."""

import shutil
from pathlib import Path

import pytest
import yaml
from ledgers import Planted, sample_ledger, sample_records
from signed_workspace import SignedWorkspace, signed_workspace

from components.lineage.graph import Graph
from flows.freshness import fingerprint
from flows.lineage.model_references import UnknownReferenceError, export_of, exported_with, find_record, open_graph
from flows.lineage.report import newest_export, previous, verify

EXPORT = "artifacts/export_turbo"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace without an MLflow store, in whose root the person is."""
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "work" / ".easel"))
    monkeypatch.setenv("EASEL_LEDGER", str(tmp_path / "ledger"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "work" / "artifacts").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def planted() -> Planted:
    return sample_records(versions=2)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("turbo", "export_turbo@2"),
        ("latest", "export@2"),
        ("export_turbo", "export_turbo@2"),
        ("artifacts/latents", "encode@2"),
        ("artifacts/latents/", "encode@2"),
        ("data", "ingest@2"),
        ("sft", "sft@2"),
    ],
)
def test_words(home: Path, planted: Planted, word: str, name: str) -> None:
    graph = Graph(planted.records)
    assert find_record(home, graph, word).id == planted.ids[name]
    (home / "artifacts" / "latents").mkdir()  # what is there is found by its path too
    (home / "data").mkdir()
    assert find_record(home, graph, word).id == planted.ids[name]


def test_a_part_of_what_a_record_tells_of_means_that_record(home: Path, planted: Planted) -> None:
    graph = Graph(planted.records)
    for folder, name in {"artifacts/latents/shards": "encode@2", "data/images": "ingest@2"}.items():
        (home / folder).mkdir(parents=True)
        (home / folder / "part-0").write_bytes(b"of no digest that a record names")
        for word in (folder, f"{folder}/part-0", str(home / folder / "part-0")):
            assert find_record(home, graph, word).id == planted.ids[name], word
    with pytest.raises(UnknownReferenceError, match="artifacts: no record made these bytes"):
        find_record(home, graph, "artifacts")


def test_ids_and_runs(home: Path, planted: Planted) -> None:
    graph, first = Graph(planted.records), planted.record("sft")
    for word in (first.id, first.id[:9], first.systems["mlflow_run"]):
        assert find_record(home, graph, word) == first
    assert not list(home.rglob("mlflow*"))  # nobody made a store in order to look into it


def test_of_several_the_one_that_dvc_lock_tells_of(home: Path, planted: Planted) -> None:
    entry = {"cmd": "python -m flows stage export_turbo", "deps": []}
    first = planted.record("export_turbo").model_copy(update={"fingerprint": fingerprint(entry)})
    second = planted.record("export_turbo@2")
    graph = Graph([first, second])
    assert find_record(home, graph, "turbo") == second
    (home / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"export_turbo": entry}}))
    assert find_record(home, graph, "turbo") == first


@pytest.mark.parametrize("word", ["nothing", "no/such", "turbo:9", "/", "."])
def test_what_is_unknown_is_answered_in_one_line_with_what_there_is(home: Path, planted: Planted, word: str) -> None:
    with pytest.raises(UnknownReferenceError) as error:
        find_record(home, Graph(planted.records), word)
    assert str(error.value).startswith(word)
    assert "the ledger knows: ingest" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_empty_ledger_is_said_to_be_empty(home: Path) -> None:
    with pytest.raises(UnknownReferenceError, match="turbo: the ledger holds no record yet"):
        find_record(home, Graph([]), "turbo")


def test_a_model_without_a_record_names_the_repair(home: Path, planted: Planted) -> None:
    graph = Graph([planted.record("ingest")])
    with pytest.raises(UnknownReferenceError, match="no record tells of it; `easel lineage record` writes"):
        find_record(home, graph, "turbo")


def test_the_export_of_a_word(home: Path, planted: Planted) -> None:
    graph = Graph(planted.records)
    for word in ("turbo", "register_turbo", "easel-turbo", planted.ids["promotion@2"]):
        assert export_of(home, graph, word) == (planted.record("export_turbo@2"), EXPORT)
    assert export_of(home, graph, planted.ids["promotion"])[0] == planted.record("export_turbo")
    with pytest.raises(UnknownReferenceError, match="sft: sft exports no model; give one of: latest, turbo"):
        export_of(home, graph, "sft")


def test_a_registered_name_means_the_export_until_something_is_decided_about_it(home: Path) -> None:
    planted = sample_records(decisions=False)
    graph = Graph(planted.records)
    assert find_record(home, graph, "easel-turbo").id == planted.ids["export_turbo"]
    assert find_record(home, graph, "easel").id == planted.ids["export"]
    decided = Graph(sample_records().records)
    assert find_record(home, decided, "easel-turbo").kind == "promotion"


def test_a_version_is_found_by_the_fingerprints_that_its_tags_name(planted: Planted) -> None:
    first = planted.record("export_turbo")
    marks = {name: planted.record(name).fingerprint for name in ("export_turbo", "distill", "export")}
    assert exported_with(planted.records, marks, EXPORT) == first
    assert exported_with(planted.records, {"distill": marks["distill"]}, EXPORT) is None


@pytest.fixture
def signed(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SignedWorkspace:
    place = signed_workspace(tmp_path / "signed")
    monkeypatch.setenv("EASEL_HOME", str(place.root / ".easel"))
    monkeypatch.setenv("EASEL_LEDGER", str(place.root / ".easel" / "ledger"))
    return place


def test_a_folder_elsewhere_is_known_by_its_bytes(signed: SignedWorkspace, tmp_path: Path) -> None:
    _, graph = open_graph(signed.root)
    brought = tmp_path / "brought"
    shutil.copytree(signed.folder, brought)
    assert find_record(signed.root, graph, str(brought)).subject == "export_turbo"
    (brought / "model_index.json").write_bytes(b"{}")
    with pytest.raises(UnknownReferenceError, match="no record made these bytes"):
        find_record(signed.root, graph, str(brought))


def test_a_folder_in_the_workspace_is_known_from_below_too(
    signed: SignedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, graph = open_graph(signed.root)
    monkeypatch.chdir(signed.root / "artifacts")
    assert find_record(signed.root, graph, "export_turbo/").subject == "export_turbo"
    assert find_record(signed.root, graph, "latents").subject == "encode"


def test_the_report_tells_what_verification_says(signed: SignedWorkspace) -> None:
    _, graph = open_graph(signed.root)
    record = find_record(signed.root, graph, "turbo")
    found = verify(signed.root, record, "turbo")
    assert found
    assert (found.fault, found.is_asked) == ("", True), found
    assert found.steps[0][0] == "signature"
    (signed.folder / "model_index.json").write_bytes(b"{}")
    found = verify(signed.root, record, "turbo")
    assert found
    assert "model_index.json" in found.fault
    assert verify(signed.root, graph.records[0], "ingest") is None
    signed.signature.unlink()
    found = verify(signed.root, record, "turbo")
    assert found
    assert not found.is_asked
    assert "not signed" in found.fault


def test_what_a_report_compares_with(tmp_path: Path, planted: Planted) -> None:
    graph = Graph(planted.records)
    assert newest_export(graph) == "turbo"
    assert previous(graph, planted.record("export_turbo")) is None
    assert previous(graph, planted.record("export_turbo@2")) == planted.record("export_turbo")
    three = sample_records(versions=3)
    # The third was never promoted: it is compared with the champion, and the champion with the version before it.
    unpromoted = [record for record in three.records if record.id != three.ids["promotion@3"]]
    champion_is_first = [record for record in unpromoted if record.id != three.ids["promotion@2"]]
    newest = three.record("export_turbo@3")
    assert previous(Graph(three.records), newest) == three.record("export_turbo@2")
    assert previous(Graph(unpromoted), newest) == three.record("export_turbo@2")
    assert previous(Graph(champion_is_first), newest) == three.record("export_turbo")


def test_a_ledger_in_a_folder_is_read_as_a_graph(home: Path, tmp_path: Path) -> None:
    made = sample_ledger(tmp_path / "ledger")
    _, graph = open_graph(home)
    assert graph.records == tuple(made.records)
