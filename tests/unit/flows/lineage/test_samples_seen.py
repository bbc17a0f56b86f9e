import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.lineage.index import Index
from components.lineage.keys import make_key
from components.lineage.log import Ledger
from components.lineage.record import Item, Record, Samples
from components.lineage.store import FolderStore
from flows.lineage.sample_sets import pack_set
from flows.lineage.samples_seen import VERDICTS, Answers, Seen, registered
from tests.ledgers import Planted, sample_ledger, sha


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return sample_ledger(tmp_path_factory.mktemp("seen") / "ledger", versions=2)


@pytest.fixture(scope="module")
def answers(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    folder = tmp_path_factory.mktemp("index")
    return Answers(folder, Index(planted.ledger, folder / "index.duckdb"))


def stages(seen: Seen, planted: Planted) -> set[str]:
    """The trainings that drew it, as `Planted.ids` names their records."""
    names = {record: name for name, record in planted.ids.items()}
    return {names[one.record] for one in seen.trainings if one.is_drawn}


def test_drawn_and_offered_are_told_apart_for_every_sample(planted: Planted, answers: Answers) -> None:
    trainings = {name.removeprefix("drawn_") for name in planted.samples if name.startswith("drawn_")}
    for sample in {one for ids in planted.samples.values() for one in ids}:
        seen = answers.seen(sample)
        assert stages(seen, planted) == {name for name in trainings if sample in planted.samples[f"drawn_{name}"]}
        offered = {one.record for one in seen.trainings}
        assert offered == {planted.ids[name] for name in trainings if sample in planted.samples[f"offered_{name}"]}


def test_models_below_a_training_are_those_that_its_weights_became(planted: Planted, answers: Answers) -> None:
    first = [one for one in planted.samples["drawn_pretrain_1"] if one not in planted.samples["offered_sft"]]
    only_first = next(one for one in first if one not in planted.samples["offered_pretrain_1@2"])
    found = {(one.record, one.path): one for one in answers.seen(only_first).models}
    chain = {"pretrain_1": "artifacts/models/pretrain_1", "sft": "artifacts/models/sft"}
    chain |= {"distill": "artifacts/models/turbo", "export": "artifacts/export"}
    chain |= {"export_turbo": "artifacts/export_turbo"}
    assert set(found) == {(planted.ids[stage], path) for stage, path in chain.items()}
    assert {one.drawn_by for one in found.values()} == {("pretrain_1",)}


def test_a_model_that_was_only_offered_a_sample_says_so(planted: Planted, answers: Answers) -> None:
    missed = set(planted.samples["offered_pretrain_1"]) - set(planted.samples["drawn_pretrain_1"])
    missed -= {one for name in ("offered_sft", "offered_distill") for one in planted.samples[name]}
    sample = sorted(missed)[0]
    mine = [one for one in answers.seen(sample).models if one.record == planted.ids["export_turbo"]]
    assert [(one.drawn_by, one.offered_by) for one in mine] == [((), ("pretrain_1",))]


def test_held_out_dropped_and_refused_samples_are_in_no_training(tmp_path: Path) -> None:
    planted = sample_ledger(tmp_path / "ledger")
    answers = Answers(tmp_path, Index(planted.ledger, tmp_path / "index.duckdb"))
    held_out = planted.samples["held_out_sample"][0]
    refused = (set(planted.samples["received_ingest"]) - set(planted.samples["kept_ingest"])).pop()
    dropped = (set(planted.samples["kept_ingest"]) - set(planted.samples["kept_filter_images"])).pop()
    for sample, by in ((held_out, []), (refused, ["ingest"]), (dropped, ["filter_images"])):
        seen = answers.seen(sample)
        assert seen.trainings == seen.models == ()
        assert [one.subject for one in seen.dropped] == by
    assert {one.role for one in answers.seen(held_out).sightings} == {"received", "kept", "held_out"}


def test_why_it_was_dropped_is_told_while_the_table_is_the_one_that_was_recorded(tmp_path: Path) -> None:
    table = tmp_path / VERDICTS
    table.parent.mkdir(parents=True)
    good, bad = sha("good"), sha("bad")
    pq.write_table(pa.table({"sample_id": [good, bad], "reason": ["", "too_small"]}), table)
    both, rest = pack_set("kept", [good, bad]), pack_set("kept", [good])
    times: dict[str, Any] = {"started_at": "2026-11-21T20:00:00.000Z", "ended_at": "2026-11-21T20:00:01.000Z"}
    first = Record(kind="stage", subject="ingest", samples=Samples(sets=(both[0],)), **times)
    verdicts = Item(role="verdicts", path=VERDICTS, sha256=hashlib.sha256(table.read_bytes()).hexdigest(), size=1)
    second = Record(
        kind="stage",
        subject="filter",
        parents=(first.id,),
        outputs=(verdicts,),
        samples=Samples(sets=(rest[0],)),
        **times,
    )
    ledger = Ledger(FolderStore(tmp_path / "ledger"), make_key(tmp_path / "key.pem"))
    for record, (one, packed) in ((first, both), (second, rest)):
        ledger.append(record, {f"sets/{one.root}": packed})
    answers = Answers(tmp_path, Index(ledger, tmp_path / "index.duckdb"))
    assert answers.seen(good).dropped == ()
    assert [(one.subject, one.reason) for one in answers.seen(bad).dropped] == [("filter", "too_small")]
    pq.write_table(pa.table({"sample_id": [good, bad], "reason": ["", "edited"]}), table)
    assert [(one.subject, one.reason) for one in answers.seen(bad).dropped] == [("filter", "")]


def test_decisions_about_its_models_are_told(planted: Planted, answers: Answers) -> None:
    sample = planted.samples["drawn_distill"][0]
    assert planted.ids["promotion"] in answers.seen(sample).decisions


def test_a_stranger_was_never_seen(answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path))
    seen = answers.seen(sha("stranger"))
    assert (seen.sightings, seen.trainings, seen.models, seen.dropped) == ((), (), (), ())
    assert [one.versions for one in registered(tmp_path, [seen], answers.graph)] == [()]


def test_without_a_registry_the_rest_is_answered(
    planted: Planted, answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path))
    monkeypatch.delenv("EASEL_TRACKING_URI", raising=False)
    (found,) = registered(tmp_path, [answers.seen(planted.samples["drawn_distill"][0])], answers.graph)
    assert found.versions is None
    assert "no registry" in found.unanswered
    assert found.models
    assert not list(tmp_path.iterdir())
