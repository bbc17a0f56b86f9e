"""Counts equal those planted, every gate adds up, and tables of different runs are refused."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from components.data.errors import DataError
from components.data.report.summary import parse_summary, summarise, write_summary
from components.data.report.tables import Tables, fates

from .conftest import HOSTILE, NUM, replaced, sample_id


def test_every_gate_counts_what_was_planted(tables: Tables) -> None:
    gates = {gate["gate"]: gate for gate in summarise(tables)["funnel"]}
    assert {name: (gate["offered"], gate["kept"]) for name, gate in gates.items()} == {
        "land": (NUM + 8, NUM + 3),
        "ingest": (NUM + 3, NUM),
        "filter": (20, 17),
        "caption": (17, 16),
        "select": (16, 10),
        "encode": (10, 9),
    }
    assert gates["land"]["dropped"] == {"archive_inside": 4, "opted_out: noai": 1}
    assert gates["ingest"]["dropped"] == {"truncated": 2, "repeated_bytes": 1}
    assert gates["filter"]["dropped"] == {"exact_duplicate": 1, "flat": 1, "near_duplicate": 1}
    assert gates["select"]["dropped"] == {"concept_not_taken": 5, "no_category": 1}
    assert gates["encode"]["dropped"] == {"probability_zero": 1}


def test_at_every_gate_what_came_is_what_passed_and_what_was_dropped(tables: Tables) -> None:
    funnel = summarise(tables)["funnel"]
    for gate, after in zip(funnel, [*funnel[1:], None], strict=True):
        assert gate["offered"] == gate["kept"] + sum(gate["dropped"].values())
        assert after is None or after["offered"] == gate["kept"]


def test_each_image_has_one_fate(tables: Tables) -> None:
    fate = fates(tables)
    assert fate.column("sample_id").to_pylist() == tables.catalogue.column("sample_id").to_pylist()
    assert Counter(fate.column("gate").to_pylist()) == {"": 9, "filter": 3, "caption": 1, "select": 6, "encode": 1}


def test_groups_count_before_and_after_sampling(tables: Tables) -> None:
    summary = summarise(tables)
    category = {row["category"]: row for row in summary["groups"]["category"]}
    assert {name: (row["kept"], row["selected"]) for name, row in category.items()} == {
        "animals": (9, 5),
        "food": (7, 5),
        "": (1, 0),
    }
    # Eight training images, of which seven share all draws: each is drawn 8/7 times an epoch.
    assert category["animals"]["drawn"] == pytest.approx(4 * 8 / 7, abs=1e-3)
    for rows in summary["groups"].values():
        assert sum(row["kept"] for row in rows) == 17
        assert sum(row["drawn"] for row in rows) == pytest.approx(8, abs=0.01)
    licences = {row["licence"]: row["selected"] for row in summary["groups"]["licence"]}
    assert licences == {"MIT": 9, HOSTILE: 1}


def test_captions_clusters_sizes_and_scores(tables: Tables) -> None:
    summary = summarise(tables)
    short, long = sorted(summary["captions"], key=lambda row: row["kind"], reverse=True)
    assert (short["number"], short["images"], short["median"]) == (16, 16, 4)
    assert long["median"] == np.median([3 * n for n in range(4, NUM)])
    assert sum(long["histogram"]["captions"]) == 16
    assert summary["text"] == {"read": 2, "found": 1}
    assert summary["duplicates"] == {"clusters": 1, "dropped": 2, "by_size": {"3": 1}}
    # 96 is 2**6.58 and 128 is 2**7, in steps of an eighth of an octave.
    assert summary["sizes"] == [[52, 56, 10], [56, 56, 10]]
    assert sum(summary["aspects"]["images"]) == NUM
    assert summary["aesthetic"]["mean_kept"] == pytest.approx(np.mean(range(3, NUM)))
    assert summary["aesthetic"]["mean_drawn"] == pytest.approx(np.mean(range(11, 18)))
    assert sum(summary["aesthetic"]["kept"]) == 17


def test_the_order_of_rows_changes_nothing(tables: Tables) -> None:
    order = np.random.default_rng(0).permutation(NUM)
    shuffled = replace(
        tables, catalogue=tables.catalogue.take(order), selection=tables.selection.take(order[order < 10])
    )
    assert json.dumps(summarise(shuffled)) == json.dumps(summarise(tables))


def test_what_is_written_is_read_again_and_anything_else_is_refused_in_one_line(tables: Tables, tmp_path) -> None:
    file = tmp_path / "summary.json"
    write_summary(summarise(tables), file)
    assert parse_summary(file.read_bytes(), "it") == summarise(tables)
    for text, said in (
        (b"<html>", "is not JSON"),
        (b"[1]", "no summary"),
        (b'{"funnel": [], "schema": 99}', "schema 99"),
    ):
        with pytest.raises(DataError, match=said) as error:
            parse_summary(text, "other.json")
        assert str(error.value).startswith("other.json: ")
        assert "\n" not in str(error.value)


def test_tables_of_different_runs_are_refused(tables: Tables) -> None:
    dropped = tables.verdicts.column("sample_id")[0].as_py()
    assert dropped == sample_id(0)
    row = replaced(tables.selection.slice(0, 1), "sample_id", [dropped])
    with pytest.raises(DataError, match=f"selection: 1 rows are of images that .*{dropped}"):
        fates(replace(tables, selection=pa.concat_tables([tables.selection, row])))


def test_an_empty_version_is_still_a_report(tables: Tables) -> None:
    empty = {name: value.slice(0, 0) for name, value in vars(tables).items() if name != "score_note"}
    summary = summarise(Tables(**empty))
    assert [gate["kept"] for gate in summary["funnel"]] == [0] * 6
    assert summary["aesthetic"]["mean_kept"] is None
