import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.lineage.errors import LedgerError
from components.lineage.graph import Graph
from components.lineage.keys import make_key
from components.lineage.sample_document import (
    DocumentError,
    SampleDocument,
    check_document,
    read_document,
    write_document,
)
from tests.ledgers import Planted, sample_ledger, sha


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return sample_ledger(tmp_path_factory.mktemp("document") / "ledger", versions=2)


def document(planted: Planted, sample: str, stage: str = "export_turbo") -> SampleDocument:
    return write_document(planted.ledger, Graph(planted.records), planted.ids[stage], sample, stage)


def through_json(found: SampleDocument) -> dict[str, Any]:
    return json.loads(found.model_dump_json())


def test_a_model_is_proven_to_have_drawn_a_sample(planted: Planted) -> None:
    both = set(planted.samples["drawn_pretrain_1"]) & set(planted.samples["drawn_sft"])
    sample = sorted(both)[0]
    shown = check_document(read_document(document(planted, sample).model_dump_json().encode()))
    assert shown.fault is None
    assert shown.is_drawn
    expected = {
        (stage, role, sample in planted.samples[f"{role}_{stage}"])
        for stage in ("pretrain_1", "sft", "distill")
        for role in ("offered", "drawn")
    }
    assert set(shown.sets) == expected


@pytest.mark.parametrize("name", ["stranger", "image 9"])  # never seen; held out
def test_a_model_is_proven_not_to_have_seen_a_sample(planted: Planted, name: str) -> None:
    shown = check_document(document(planted, sha(name)))
    assert shown.fault is None
    assert not shown.is_in_any
    assert len(shown.sets) == 6


def test_later_models_are_proven_without_a_sample_that_earlier_ones_drew(planted: Planted) -> None:
    gone = sorted(set(planted.samples["received_ingest"]) - set(planted.samples["received_ingest@2"]))
    drawn = next(one for one in gone if one in planted.samples["drawn_pretrain_1"])
    assert check_document(document(planted, drawn)).is_drawn
    later = check_document(document(planted, drawn, "export_turbo@2"))
    assert later.fault is None
    assert not later.is_in_any
    assert {stage for stage, _, _ in later.sets} == {"pretrain_1", "sft", "expert_style", "distill"}


def test_what_a_model_was_compared_with_is_none_of_its_training(planted: Planted) -> None:
    shown = check_document(document(planted, sha("image 9"), "export"))
    assert shown.fault is None
    assert {stage for stage, _, _ in shown.sets} == {"pretrain_1", "sft"}  # its report read Turbo too


def test_of_a_data_set_all_its_sets_are_proven(planted: Planted) -> None:
    sample = planted.samples["held_out_sample"][0]
    shown = check_document(document(planted, sample, "sample"))
    assert set(shown.sets) == {("sample", "offered", False), ("sample", "held_out", True)}


def test_what_names_no_samples_is_refused(planted: Planted) -> None:
    bare = planted.records[-1].model_copy(update={"parents": (), "subject": "bare", "kind": "stage"})
    graph = Graph([*planted.records, bare])
    with pytest.raises(DocumentError, match="names any samples"):
        write_document(planted.ledger, graph, bare.id, sha("stranger"), "bare")


def _leave_out_a_training(told: dict[str, Any]) -> None:
    at = next(at for at, one in enumerate(told["records"]) if one["subject"] == "pretrain_1")
    del told["records"][at], told["log"][at]
    told["sets"] = [one for one in told["sets"] if one["record"] != told["log"][at]["entry"]["record_id"]]


def _leave_out_a_set(told: dict[str, Any]) -> None:
    told["sets"].pop(1)


def _claim_another_root(told: dict[str, Any]) -> None:
    training = next(one for one in told["records"] if one["subject"] == "sft")
    training["samples"]["sets"][1]["root"] = sha("another")


def _forget_the_training(told: dict[str, Any]) -> None:
    training = next(one for one in told["records"] if one["subject"] == "sft")
    training["samples"]["sets"] = []


def _swap_places(told: dict[str, Any]) -> None:
    told["log"][0], told["log"][1] = told["log"][1], told["log"][0]


def _forge_a_head(told: dict[str, Any]) -> None:
    for one in told["log"]:
        one["head"]["root"] = sha("another")


def _swap_proofs(told: dict[str, Any]) -> None:
    told["sets"][0]["proof"], told["sets"][-1]["proof"] = told["sets"][-1]["proof"], told["sets"][0]["proof"]


def _name_another_sample(told: dict[str, Any]) -> None:
    told["sample"] = sha("another")


def _name_another_record(told: dict[str, Any]) -> None:
    told["record"] = sha("another")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_leave_out_a_training, "left out"),
        (_leave_out_a_set, "left out"),
        (_claim_another_root, "sft: its content is not that of the record in the log"),
        (_forget_the_training, "sft: its content is not that of the record in the log"),
        (_swap_places, "not that of the record"),
        (_forge_a_head, "not by a key that is trusted"),
        (_swap_proofs, "does not lead to the Merkle root"),
        (_name_another_sample, "about another sample"),
        (_name_another_record, "not among them"),
    ],
)
def test_every_lie_is_named(planted: Planted, change: Callable[[dict[str, Any]], None], told: str) -> None:
    value = through_json(document(planted, sha("stranger")))
    change(value)
    shown = check_document(read_document(json.dumps(value).encode()))
    assert shown.fault is not None
    assert told in str(shown.fault)


def test_only_a_trusted_key_counts(planted: Planted, tmp_path: Path) -> None:
    found = document(planted, sha("stranger"))
    stranger = make_key(tmp_path / "another.pem").public_pem
    assert "not by a key that is trusted" in str(check_document(found, [stranger]).fault)
    assert check_document(found, [stranger, found.public_key.encode()]).fault is None


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff\x00", b'{"schema_name": "easel.sample-proof/1"}'])
def test_what_is_no_document_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(DocumentError) as refused:
        read_document(data)
    assert "\n" not in str(refused.value)


def test_a_set_with_one_wrong_digest_is_named_instead_of_proven(tmp_path: Path) -> None:
    mine = sample_ledger(tmp_path / "ledger")
    one = mine.record("sft").sample_set("drawn")
    assert one is not None
    file = tmp_path / "ledger" / "sets" / one.root
    data = bytearray(file.read_bytes())
    data[32 * 5 : 32 * 6] = bytes(32)
    file.write_bytes(data)
    with pytest.raises(LedgerError, match=r"not the drawn samples of sft: row 5 .* out of order"):
        document(mine, sha("stranger"))
