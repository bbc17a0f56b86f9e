"""Trees show every record of a walk once, and name the rest of the edges."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import many_records, sample_records

from components.lineage.canonical import canonical
from components.lineage.graph import Graph
from components.lineage.history import (
    Branch,
    figure,
    flat,
    is_dirty,
    is_observed,
    marks,
    seconds,
    summary,
    tree,
    tree_json,
    who,
)
from components.lineage.record import Check, Record

AT = "2026-11-21T20:00:00.000Z"


def branches(branch: Branch) -> list[Branch]:
    return [branch, *(below for one in branch.branches for below in branches(one))]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 5), st.booleans(), st.one_of(st.none(), st.integers(0, 3)))
def test_every_record_once_and_every_edge(count: int, width: int, forward: bool, depth: int | None) -> None:
    graph = Graph(list(many_records(count, width)))
    start = graph.ids[0 if forward else -1]
    shown = branches(tree(graph, start, forward=forward, depth=depth))
    walked = graph.below(start, depth) if forward else graph.above(start, depth)
    assert sorted(one.record_id for one in shown) == sorted([start, *(record.id for record in walked)])
    step = graph.children if forward else graph.parents
    for one in shown:
        told = [below.record_id for below in one.branches] + list(one.also)
        assert len(told) + one.num_left_out == len(step(one.record_id))
        assert set(told) <= set(step(one.record_id))


def test_json_of_a_tree_is_plain_and_complete() -> None:
    planted = sample_records()
    graph = Graph(planted.records)
    told = tree_json(graph, tree(graph, planted.ids["export_turbo"]))
    assert json.loads(json.dumps(told)) == told
    assert canonical(told)  # no float anywhere
    assert told["subject"] == "export_turbo"
    direct = {one["subject"] for one in told["branches"]}
    assert direct == {"distill", "evaluate"}


def test_an_evaluation_takes_no_stage_from_the_model_that_it_measured() -> None:
    planted = sample_records()
    graph, ids = Graph(planted.records), planted.ids
    shown = tree(graph, ids["export_turbo"])
    assert [one.record_id for one in shown.branches] == [ids["distill"], ids["evaluate"]]
    distilled, evaluated = shown.branches
    assert ids["sft"] in [one.record_id for one in distilled.branches]
    assert (evaluated.branches, set(evaluated.also)) == ((), {ids["sft"], ids["distill"], ids["encode"]})
    for depth in range(1, 6):
        near = branches(tree(graph, ids["export_turbo"], depth=depth))
        walked = {record.id for record in graph.above(ids["export_turbo"], depth)}
        assert {one.record_id for one in near} == walked | {ids["export_turbo"]}


def test_a_record_in_few_words() -> None:
    planted = sample_records()
    graph, ids = Graph(planted.records), planted.ids
    told = summary(graph, ids["pretrain_1"])
    assert told["samples"] == {"offered": 42, "drawn": 39}
    assert told["seconds"] == 16
    assert told["commit"] == planted.record("pretrain_1").code["commit"]
    assert who(planted.record("promotion")) == "ann and ben"
    assert who(planted.record("sft")) == "ann"


def test_dirty_and_observed_are_told_apart() -> None:
    clean = Record(kind="stage", subject="s", started_at=AT, ended_at=AT, code={"is_dirty": False})
    dirty = clean.model_copy(update={"code": {"is_dirty": True}, "is_promotable": False})
    observed = clean.model_copy(update={"people": {"observed_by": "ann"}})
    assert [(is_dirty(one), is_observed(one)) for one in (clean, dirty, observed)] == [
        (False, False), (True, False), (False, True),
    ]  # fmt: skip
    assert [marks(one) for one in (clean, dirty, observed)] == [[], ["dirty", "not promotable"], ["observed"]]
    failed = (Check(name="gate", is_passed=False, waived_by="ben"), Check(name="size", is_passed=True))
    assert marks(clean.model_copy(update={"checks": failed})) == ["gate waived by ben"]


@pytest.mark.parametrize(("start", "end"), [("no time", AT), (AT, "2026-11-21T19:00:00.000Z"), (AT, "2026-11-21")])
def test_times_that_make_no_duration_count_as_none(start: str, end: str) -> None:
    assert seconds(Record(kind="stage", subject="s", started_at=start, ended_at=end)) == 0


def test_leaves_by_their_paths() -> None:
    nested = {"lr": "0.1", "sizes": [64, {"w": 32}], "none": None, "on": True, "empty": {}}
    assert flat(nested) == {"lr": "0.1", "sizes[0]": "64", "sizes[1].w": "32", "none": "none", "on": "true"}


def test_figures_are_short_and_other_words_stay() -> None:
    assert [figure(one) for one in ("0.123456789", "12345", "1e-07", "seven", "nan")] == [
        "0.1235", "12,345", "1e-07", "seven", "nan",
    ]  # fmt: skip
