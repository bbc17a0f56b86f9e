"""`easel lineage export` on a planted ledger, in every format."""

import json

import pytest
from ledgers import sample_ledger
from pictured import takedown
from typer.testing import CliRunner

from components.lineage.exporters.openlineage import read_openlineage
from components.lineage.exporters.prov import read_prov
from components.lineage.openlineage_events import stage_run
from flows.cli import app
from flows.lineage.exports import EXPORTERS


@pytest.fixture(scope="module")
def two_versions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two") / "ledger"
    return folder, sample_ledger(folder, versions=2)


@pytest.fixture(autouse=True)
def planted(two_versions, tmp_path, monkeypatch):
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EASEL_LEDGER", str(two_versions[0]))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return two_versions[1]


def easel(*arguments):
    return CliRunner().invoke(app, ["lineage", "export", *arguments], catch_exceptions=False)


@pytest.mark.parametrize("standard", EXPORTERS)
def test_every_format_is_written_to_standard_output_and_to_a_file_alike(planted, tmp_path, standard):
    printed = easel("export_turbo", "--format", standard)
    assert printed.exit_code == 0
    written = easel("export_turbo", "--format", standard, "--out", str(tmp_path / "out" / "document"))
    assert written.exit_code == 0
    assert (tmp_path / "out" / "document").read_text() == printed.stdout
    assert planted.ids["export_turbo@2"] in printed.stdout


def test_a_document_tells_of_what_its_model_stands_on_and_of_decisions_about_it(planted):
    told = read_prov(easel(planted.ids["export_turbo"], "--format", "prov").stdout)
    stages = ("export_turbo", "distill", "sft", "pretrain_1", "encode", "sample", "ingest", "evaluate", "promotion")
    assert told.events >= {planted.ids[stage] for stage in stages}
    assert not told.events & {planted.ids["export_turbo@2"], planted.ids["export"], planted.ids["register_turbo"]}


def test_a_takedown_of_what_a_model_stands_on_is_told(tmp_path, monkeypatch):
    planted = sample_ledger(tmp_path / "ledger")
    monkeypatch.setenv("EASEL_LEDGER", str(tmp_path / "ledger"))
    gone = takedown("").model_copy(update={"parents": (), "decision": {
        "state": "completed", "matches": [{"digest": "ab" * 32, "method": "file", "distance": 0}],
        "affected": {"records": [planted.ids["ingest"]]},
    }})  # fmt: skip
    planted.ledger.append(gone)
    told = read_openlineage(easel(planted.ids["export_turbo"], "--format", "openlineage").stdout)
    assert gone.id in told.events
    assert {edge.source for edge in told.edges if edge.kind == "invalidated"} == {"ab" * 32}


def test_openlineage_is_exported_by_the_names_that_a_server_heard(planted, monkeypatch):
    monkeypatch.setenv("EASEL_OPENLINEAGE_NAMESPACE", "paintings")
    events = [json.loads(line) for line in easel("export_turbo", "--format", "openlineage").stdout.splitlines()]
    record = planted.record("sft@2")
    live = stage_run("paintings", record.systems["build"], record.place["host"], "sft")
    assert {one["run"]["runId"] for one in events if one["job"]["name"] == "sft"} == {live}
    assert {one["job"]["namespace"] for one in events} == {"paintings"}


def test_another_word_for_a_format_is_refused():
    refused = easel("export_turbo", "--format", "rdf")
    assert refused.exit_code == 2
    assert "'rdf'" in refused.output


def test_a_word_that_means_no_record_is_refused_in_one_line():
    with pytest.raises(ValueError, match="turbot") as caught:
        easel("turbot", "--format", "prov")
    assert "\n" not in str(caught.value)


def test_documents_are_json():
    for standard in set(EXPORTERS) - {"openlineage"}:
        assert json.loads(easel("export_turbo", "--format", standard).stdout)
