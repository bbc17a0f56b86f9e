"""Walks over records are those of networkx over the same edges, and every word means the record that it should."""

from collections.abc import Sequence

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import hostile_record, many_records, sample_records, sha

from components.lineage.graph import Graph, GraphError, short_ids
from components.lineage.record import Item, Record

AT = "2026-11-21T20:00:00.000Z"


def record(number: int, parents: Sequence[str] = (), inputs: Sequence[Item] = (), *, makes: str = "") -> Record:
    """A record of a stage of its own that writes one file."""
    outputs = (Item(role="made", path=f"made/{number}", sha256=makes or sha(f"made {number}"), size=1),)
    return Record(
        kind="stage", subject=f"stage_{number}", parents=tuple(parents), started_at=AT, ended_at=AT,
        inputs=tuple(inputs), outputs=outputs,
    )  # fmt: skip


def chosen(seed: int, earlier: int) -> list[int]:
    return [place for place in range(earlier) if seed >> place & 1]


@st.composite
def records_and_edges(draw: st.DrawFn) -> tuple[list[Record], "networkx.DiGraph[str]"]:
    """Records whose edges are told in all three ways, and the same edges for networkx."""
    records, truth = list[Record](), networkx.DiGraph()
    for number in range(draw(st.integers(1, 12))):
        named, made_by, read = (chosen(draw(st.integers(0, 2**12 - 1)), number) for _ in range(3))
        items = [records[one].outputs[0].model_copy(update={"made_by": records[one].id}) for one in made_by]
        items += [records[one].outputs[0] for one in read]
        records.append(record(number, [records[one].id for one in named], items))
        truth.add_node(records[-1].id)
        truth.add_edges_from((records[one].id, records[-1].id) for one in (*named, *made_by, *read))
    return records, truth


@settings(max_examples=60, deadline=None)
@given(records_and_edges(), st.integers(1, 4))
def test_walks_are_those_of_networkx(found: tuple[list[Record], "networkx.DiGraph[str]"], depth: int) -> None:
    records, truth = found
    graph = Graph(records)
    backwards = truth.reverse()
    for one in graph.ids:
        assert [r.id for r in graph.above(one)] == [r for r in graph.ids if r in networkx.ancestors(truth, one)]
        assert [r.id for r in graph.below(one)] == [r for r in graph.ids if r in networkx.descendants(truth, one)]
        assert set(graph.parents(one)) == set(truth.predecessors(one))
        assert set(graph.children(one)) == set(truth.successors(one))
        near = networkx.single_source_shortest_path_length(backwards, one, cutoff=depth).keys() - {one}
        assert {r.id for r in graph.above(one, depth)} == near
        far = networkx.single_source_shortest_path_length(truth, one, cutoff=depth).keys() - {one}
        assert {r.id for r in graph.below(one, depth)} == far


def test_bytes_without_a_maker_come_from_the_newest_earlier_record_that_wrote_them() -> None:
    same = sha("the same bytes")
    first, second = record(1, makes=same), record(2, makes=same)
    reader = record(3, inputs=[Item(role="in", path="made/1", sha256=same, size=1)])
    later = record(4, makes=same)
    graph = Graph([first, second, reader, later])
    assert graph.parents(reader.id) == (second.id,)
    assert graph.made(same) == later
    assert graph.consumers(same) == (reader,)
    assert graph.children(later.id) == ()


def test_a_stage_that_writes_what_it_read_does_not_stand_on_itself() -> None:
    same = sha("unchanged")
    one = record(1, inputs=[Item(role="in", path="data", sha256=same, size=1)], makes=same)
    graph = Graph([one])
    assert graph.above(one.id) == ()
    assert [item.path for item in graph.sources(one.id)] == ["data"]


def test_a_record_that_is_named_but_does_not_stand_before_is_missing() -> None:
    parent = record(1)
    child = record(2, [parent.id, "ab" * 32])
    assert Graph([parent, child]).missing(child.id) == ("ab" * 32,)
    assert Graph([child, parent]).missing(child.id) == (parent.id, "ab" * 32)
    assert Graph([child, parent]).parents(child.id) == ()


def test_planted_chain() -> None:
    planted = sample_records(versions=2)
    graph, ids = Graph(planted.records), planted.ids
    history = [one.subject for one in graph.above(ids["export_turbo"])]
    assert history == [
        "ingest", "filter_images", "sample", "render_text", "curate_sft", "encode", "pretrain_1", "sft", "distill",
        "evaluate",
    ]  # fmt: skip
    assert [item.path for item in graph.sources(ids["export_turbo"])] == ["data", "data/autoencoder"]
    # Lettering was rendered once: both versions stand on it.
    below = {one.id for one in graph.below(ids["render_text"])}
    assert {ids["promotion"], ids["promotion@2"]} <= below
    assert ids["ingest@2"] not in below
    assert graph.latest("distill") == planted.record("distill@2")
    assert graph.latest("nothing") is None
    assert not any(graph.missing(one) for one in graph.ids)


def test_what_a_word_means() -> None:
    planted = sample_records(versions=2)
    graph, latest = Graph(planted.records), planted.record("distill@2")
    for word in (latest.id, latest.id[:6], "distill", "artifacts/models/turbo", "./artifacts/models/turbo/"):
        assert graph.resolve(word) == latest, word
    assert graph.resolve(latest.outputs[0].sha256) == latest
    assert graph.resolve(planted.record("sft").systems["mlflow_run"]) == planted.record("sft")
    assert graph.resolve("data") == planted.record("ingest@2")
    assert graph.resolve("easel-turbo") == planted.record("promotion@2")
    later = planted.record("sft@2").model_copy(update={"inputs": planted.record("ingest@2").inputs})
    assert Graph([*planted.records, later]).resolve("data") == planted.record("ingest@2")
    run = Record(kind="run", subject="build 7", started_at=AT, ended_at=AT, systems=latest.systems)
    assert Graph([*planted.records, run, hostile_record("x")]).resolve(latest.systems["build"]) == run


@pytest.mark.parametrize("word", ["", "zz", "abcdef", "ab" * 32, "artifacts", "../artifacts/models/turbo"])
def test_a_word_that_means_nothing_is_answered_with_what_there_is(word: str) -> None:
    with pytest.raises(GraphError, match="ingest, filter_images, sample") as error:
        Graph(sample_records().records).resolve(word)
    assert "\n" not in str(error.value)


def test_the_beginning_of_several_ids_is_refused() -> None:
    records = list(many_records(10_000, width=1000))
    graph = Graph(records)
    beginnings = [one[:6] for one in graph.ids]
    several = next(one for one in beginnings if beginnings.count(one) > 1)
    with pytest.raises(GraphError, match=r"2 records begin so; give more of the id"):
        graph.resolve(several)
    short = short_ids(graph.ids)
    assert len(set(short.values())) == len(records)
    assert all(len(one) >= 8 and full.startswith(one) for full, one in short.items())


def test_an_empty_ledger_says_so() -> None:
    with pytest.raises(GraphError, match="holds no record yet"):
        Graph([]).resolve("turbo")
