"""Differences are those that were planted, and differences of sets are those of Python's sets."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import Planted, hostile_record, pack, sample_records, sha

from components.lineage.differences import Change, Differences, differences, missing_from, rows_of, union
from components.lineage.graph import Graph
from components.lineage.record import Item, Record, Samples, SampleSet

# Digests that often share their leading bytes, and often are the same.
IDS = st.frozensets(st.builds(lambda a, b: bytes([a] * 8) + bytes([b] * 24), st.integers(0, 3), st.integers(0, 9)))


@pytest.fixture(scope="module")
def planted() -> Planted:
    return sample_records(versions=2)


def compare(planted: Planted, old: str, new: str, max_ids: int = 20) -> Differences:
    graph, ids = Graph(planted.records), planted.ids
    return differences(graph, ids[old], ids[new], planted.sets.__getitem__, max_ids=max_ids)


def test_planted_truths(planted: Planted) -> None:
    found = compare(planted, "export_turbo", "export_turbo@2")
    assert (found.stages_added, found.stages_removed) == (("expert_style",), ())
    assert found.stages_shared == ("render_text",)
    lr = [Change(f"{stage}.lr", "0.001", "0.0005") for stage in ("pretrain_1", "sft", "distill")]
    assert list(found.parameters) == lr
    first, second = (planted.record(name).code["commit"] for name in ("sft", "sft@2"))
    assert found.commits == (Change("commit", first, second),)
    assert found.modules == (Change("components/training/fit.py", sha("fit of version 1"), sha("fit of version 2")),)
    assert found.environment == ()
    assert [change.place for change in found.inputs] == ["data"]
    assert Change("evaluate.alignment", "0.31", "0.33") in found.measures
    assert Change("evaluate.loss", "0.42", "0.42") in found.measures


def test_samples_in_and_out(planted: Planted) -> None:
    found = {(one.stage, one.role): one for one in compare(planted, "export_turbo", "export_turbo@2", 1000).samples}
    old, new = (set(planted.samples[f"received_ingest{end}"]) for end in ("", "@2"))
    received = found["ingest", "received"]
    assert set(received.removed) == old - new == {sha(f"image {number}") for number in range(7)}
    assert set(received.added) == new - old == {sha(f"image {number} of 2") for number in range(4)}
    assert (received.old_count, received.new_count) == (60, 57)
    drawn = {
        end: set[str]().union(
            *(planted.samples[f"drawn_{stage}{end}"] for stage in ("pretrain_1", "sft", "distill")),
            *((planted.samples["drawn_expert_style@2"],) if end else ()),
        )
        for end in ("", "@2")
    }
    overall = found["", "drawn"]
    assert set(overall.added) == drawn["@2"] - drawn[""]
    assert set(overall.removed) == drawn[""] - drawn["@2"]
    assert ("render_text", "generated") not in found
    assert found["expert_style", "drawn"].num_removed == 0
    assert found["expert_style", "drawn"].num_added == 10


def test_backwards_is_the_same_the_other_way_round(planted: Planted) -> None:
    there, back = (compare(planted, *pair) for pair in (("sft", "sft@2"), ("sft@2", "sft")))
    assert {(one.stage, one.role, one.added) for one in there.samples} == {
        (one.stage, one.role, one.removed) for one in back.samples
    }
    assert {(one.place, one.old, one.new) for one in there.parameters} == {
        (one.place, one.new, one.old) for one in back.parameters
    }


def test_a_model_and_itself_do_not_differ(planted: Planted) -> None:
    found = compare(planted, "export_turbo", "export_turbo")
    assert not any((found.stages_added, found.stages_removed, found.commits, found.parameters, found.samples))
    assert all(change.old == change.new for change in found.measures)


def test_ids_are_cut_and_counts_are_not(planted: Planted) -> None:
    received = next(one for one in compare(planted, "ingest", "ingest@2", 3).samples if one.role == "received")
    assert (len(received.removed), received.num_removed) == (3, 7)


def test_counts_by_source_and_licence(planted: Planted) -> None:
    gone = sha("image 0")

    def describe(ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        return {one: {"source": "museum", "licence": "CC0" if one == gone else ""} for one in ids}

    graph, ids = Graph(planted.records), planted.ids
    found = differences(graph, ids["ingest"], ids["ingest@2"], planted.sets.__getitem__, describe=describe)
    received = next(one for one in found.samples if (one.stage, one.role) == ("ingest", "received"))
    assert received.by == {"source": {"museum": (4, 7)}, "licence": {"CC0": (0, 1), "unknown": (4, 6)}}


def test_a_set_that_is_not_held_is_named(planted: Planted) -> None:
    lost = planted.record("ingest").sample_set("received")
    assert lost
    held = {root: packed for root, packed in planted.sets.items() if root != lost.root}

    def read(root: str) -> bytes:
        if root not in held:
            raise ValueError("no such set")
        return held[root]

    graph, ids = Graph(planted.records), planted.ids
    found = differences(graph, ids["ingest"], ids["ingest@2"], read)
    received = next(one for one in found.samples if (one.stage, one.role) == ("ingest", "received"))
    assert received.missing == (lost.root,)
    assert received.num_removed == 0


def test_of_two_attempts_the_newer_counts() -> None:
    at = "2026-11-21T20:00:00.000Z"
    make = [
        Record(kind="stage", subject="s", attempt=n, started_at=at, ended_at=at, parameters={"n": n}) for n in (1, 2)
    ]
    top = [
        Record(kind="stage", subject="top", parents=tuple(one.id for one in make[:n]), started_at=at, ended_at=at)
        for n in (1, 2)
    ]
    graph = Graph([*make, *top])
    assert differences(graph, top[0].id, top[1].id, lambda _: b"").parameters == (Change("s.n", "1", "2"),)


def test_what_an_evaluation_measured_too_is_no_part_of_a_history() -> None:
    at = "2026-11-21T20:00:00.000Z"

    def record(subject: str, *read: tuple[str, Record]) -> Record:
        inputs = [
            Item(role=role, path=f"artifacts/{one.subject}", sha256=one.id, size=1, made_by=one.id)
            for role, one in read
        ]
        parents = tuple(one.id for _, one in read)
        return Record(kind="stage", subject=subject, parents=parents, started_at=at, ended_at=at, inputs=tuple(inputs))

    mine, other = record("mine"), record("other")
    evaluate = record("evaluate", ("a", mine), ("b", other))
    export = record("export", ("model", mine), ("report", evaluate))
    found = differences(Graph([mine, other, evaluate, export]), mine.id, export.id, lambda _: b"")
    assert found.stages_shared == ("mine",)
    assert found.stages_added == ("evaluate", "export")


def test_words_of_others_are_only_carried() -> None:
    text = "<script>"
    graph = Graph([hostile_record(text), hostile_record('"')])
    found = differences(graph, *graph.ids, sample_set=lambda _: b"")
    assert found.stages_added == ('"',)
    assert found.stages_removed == (text,)


@given(IDS, IDS)
def test_set_arithmetic_is_that_of_sets(a: frozenset[bytes], b: frozenset[bytes]) -> None:
    first, second = (rows_of(b"".join(sorted(ids))) for ids in (a, b))
    assert missing_from(first, second).tobytes() == b"".join(sorted(a - b))
    assert union(first, second).tobytes() == b"".join(sorted(a | b))


def test_hundreds_of_thousands_of_samples_are_compared() -> None:
    ids = np.sort(np.frombuffer(os.urandom(32 * 300_000), "S32"))
    packed = ids.tobytes()
    at = "2026-11-21T20:00:00.000Z"
    parts = {"a" * 64: packed[: -32 * 5], "b" * 64: packed[32 * 7 :]}
    records = [
        Record(
            kind="stage", subject="ingest", started_at=at, ended_at=at, attempt=number,
            samples=Samples(sets=(SampleSet(role="received", root=root, count=len(part) // 32),)),
        )
        for number, (root, part) in enumerate(parts.items(), 1)
    ]  # fmt: skip
    graph = Graph(records)
    found = differences(graph, *graph.ids, sample_set=parts.__getitem__).samples
    assert {(one.num_added, one.num_removed) for one in found} == {(5, 7)}


def test_a_torn_set_is_refused() -> None:
    with pytest.raises(ValueError, match="33 bytes"):
        rows_of(b"x" * 33)
    assert len(rows_of(pack([]))) == 0
