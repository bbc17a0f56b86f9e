"""The questions on the command line, of a planted ledger: trees and tables for people, JSON for machines."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from ledgers import Planted, hostile_record, sample_ledger, sample_records, sha
from rich.console import Console
from typer.testing import CliRunner

from components.lineage.differences import Change, differences
from components.lineage.graph import Graph
from flows.cli import app
from flows.lineage.question_commands import describer
from flows.lineage.view import View


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    """A ledger of two versions, which the commands find."""
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EASEL_LEDGER", str(tmp_path / "ledger"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "160")
    return sample_ledger(tmp_path / "ledger", versions=2)


def ask(*words: str) -> str:
    result = CliRunner().invoke(app, ["lineage", *words])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def ask_json(*words: str) -> dict[str, Any]:
    return json.loads(ask(*words, "--json"))


def names(branches: list[dict[str, Any]]) -> list[str]:
    return [name for one in branches for name in (one["subject"], *names(one["branches"]))]


def test_show_as_json(planted: Planted) -> None:
    told = ask_json("show", "turbo")
    assert told["record"]["record"] == planted.ids["export_turbo@2"]
    assert sorted(names(told["made_from"])) == sorted(
        [
            "ingest", "filter_images", "sample", "render_text", "curate_sft", "encode", "pretrain_1", "sft",
            "expert_style", "distill", "evaluate",
        ]
    )  # fmt: skip
    assert [item["path"] for item in told["sources"]] == ["data", "data/autoencoder"]
    assert set(names(told["made_of_it"])) == {"register_turbo", "easel-turbo"}


def test_show_one_way_and_not_far(planted: Planted) -> None:
    told = ask_json("show", planted.ids["encode"][:10], "--forward", "--depth", "1")
    assert "made_from" not in told
    assert set(names(told["made_of_it"])) == {"pretrain_1", "sft", "distill", "evaluate"}
    assert "made_of_it" not in ask_json("show", "encode", "--back")


def test_show_for_people(planted: Planted) -> None:
    told = ask("show", "turbo")
    for stage in ("ingest", "filter_images", "expert_style", "distill", "register_turbo", "promotion"):
        assert stage in told
    assert planted.ids["distill@2"][:8] in told
    assert told.count(planted.ids["ingest@2"][:8]) == 1  # shown once, then named as shown elsewhere
    assert "shown elsewhere" in told
    assert "offered 20  drawn 18".replace("  ", ", ") in told


def test_sources_are_told_with_what_was_made_from_them(planted: Planted) -> None:
    told = ask("show", planted.ids["ingest"])
    assert "made from: nothing" not in told  # it was made from `data`, which no record made
    assert told.index("sources, which no record made") < told.index("\ndata ") < told.index("made of it")
    assert "made from: nothing" in ask("show", planted.ids["render_text"])
    assert "sources" not in ask("show", "encode", "--forward")


def test_diff(planted: Planted) -> None:
    told = ask_json("diff", planted.ids["export_turbo"], "turbo", "--ids", "100")
    assert told["stages_added"] == ["expert_style"]
    received = next(one for one in told["samples"] if (one["stage"], one["role"]) == ("ingest", "received"))
    assert set(received["removed"]) == {sha(f"image {number}") for number in range(7)}
    text = ask("diff", planted.ids["export_turbo"], "turbo")
    for word in ("expert_style", "pretrain_1.lr", "0.0005", "components/training/fit.py", "+4", "−7"):
        assert word in text


def test_diff_names_samples_as_the_other_commands_take_them(planted: Planted) -> None:
    removed = sorted(sha(f"image {number}") for number in range(7))
    lines = ask("diff", planted.ids["export_turbo"], "turbo", "--ids", "100").splitlines()
    at = lines.index("received that went: 7")
    assert [line.strip() for line in lines[at + 1 : at + 8]] == removed
    lines = ask("diff", planted.ids["export_turbo"], "turbo", "--ids", "2").splitlines()
    at = lines.index("received that went: 7; the first 2, --ids lists more")
    assert [line.strip() for line in lines[at + 1 : at + 3]] == removed[:2]
    assert not set(removed[2:]) & {line.strip() for line in lines}
    assert ask("diff", "turbo", "turbo").endswith("\nnothing differs\n")


def test_a_word_that_means_nothing_is_one_line(planted: Planted) -> None:
    result = CliRunner().invoke(app, ["lineage", "show", "no/such/thing"])
    assert isinstance(result.exception, ValueError)
    assert str(result.exception).startswith("no/such/thing: no record is called so; the ledger knows: ingest")
    assert "\n" not in str(result.exception)


def test_nothing_is_cut_where_there_is_no_room() -> None:
    planted = sample_records(versions=2)
    graph, ids = Graph(planted.records), planted.ids
    found = differences(graph, ids["export_turbo"], ids["export_turbo@2"], planted.sets.__getitem__)
    console = Console(record=True, width=60, color_system=None, force_terminal=False)
    view = View(graph, console)
    view.show_differences(replace(found, parameters=(Change("ü" * 70, "ö" * 64, "ä" * 64),)))
    source = planted.record("ingest").inputs[0].model_copy(update={"path": "ß" * 90})
    own = Graph([planted.record("ingest").model_copy(update={"inputs": (source,)})])
    View(own, console).show(own.ids[0], back=True, forward=False, depth=None)
    shown = console.export_text()
    assert [shown.count(letter) for letter in "üöäß"] == [70, 64, 64, 90]
    assert "…" not in shown


def test_hostile_words_are_printed_and_not_obeyed() -> None:
    text = "[bold]x[/bold] \x1b[2J\n[/nothing]"
    bad = hostile_record(text)
    graph = Graph([bad, hostile_record("y", [bad.id])])
    console = Console(record=True, width=200, color_system=None, force_terminal=False)
    View(graph, console).show(graph.ids[1], back=True, forward=True, depth=None)
    shown = console.export_text()
    assert "[bold]x[/bold] \\x1b[2J\\n[/nothing]" in shown
    assert "\x1b" not in shown


def test_what_the_catalogues_know_of_samples(tmp_path: Path) -> None:
    assert describer(tmp_path) is None
    file = tmp_path / "artifacts" / "tables" / "catalogue.parquet"
    file.parent.mkdir(parents=True)
    row = {"sample_id": "ab", "source": "museum", "licence": "CC0", "width": 3}
    pyarrow.parquet.write_table(pa.Table.from_pylist([row]), file)
    describe = describer(tmp_path)
    assert describe
    assert describe(["ab", "cd"]) == {"ab": {"sample_id": "ab", "source": "museum", "licence": "CC0"}}
