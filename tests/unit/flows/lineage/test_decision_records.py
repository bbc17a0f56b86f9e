"""What the ledger says of a version: which stages may stop a promotion, and which were only measured beside it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
import rfc8785

from components.lineage.record import Item, Record
from components.registry.hashes import HASHES_FILE
from flows.lineage.decision_records import EVALUATION, MEASURED, evidence
from flows.lineage.ledger import open_ledger
from flows.lineage.stage_records import OBSERVED
from flows.pipeline import EVALUATE, EXPORT

DIGEST = "d1" * 32
STAGES: Mapping[str, Mapping[str, str]] = {  # stage: what it reads, by role, of which stage
    "latents": {},
    "sft": {"latents": "latents"},
    "dpo": {"init": "sft"},
    "distill": {"init": "dpo"},
    "score": {},
    "evaluate": {"sft": "sft", "dpo": "dpo", "turbo": "distill", "scorer": "score"},
    "export": {"model": "dpo", "report": "evaluate"},
}


def plant(root: Path, spoilt: str, notes: tuple[str, ...], *, is_promotable: bool) -> dict[str, str]:
    """A ledger of these stages, in which one is not as it should be; the ids of their records."""
    listed = rfc8785.dumps({HASHES_FILE: DIGEST})
    exported = hashlib.sha256(listed).hexdigest()
    ledger, made = open_ledger(root, to_write=True), dict[str, str]()
    for stage, reads in STAGES.items():
        inputs = tuple(
            Item(role=role, path=f"artifacts/{maker}", sha256="0" * 64, size=1, count=1, made_by=made[maker])
            for role, maker in reads.items()
        )
        sha256 = exported if stage == "export" else hashlib.sha256(stage.encode()).hexdigest()
        record = Record(
            kind="stage",
            subject=stage,
            parents=tuple(made[maker] for maker in reads.values()),
            started_at="2026-11-23T20:00:00.000Z",
            ended_at="2026-11-23T20:00:00.000Z",
            inputs=inputs,
            outputs=(Item(role="made", path=f"artifacts/{stage}", sha256=sha256, size=1, count=1),),
            is_promotable=is_promotable or stage != spoilt,
            notes=notes if stage == spoilt else (),
        )
        ledger.append(record, {f"folders/{sha256}": listed} if stage == "export" else {})
        made[stage] = record.id
    return made


@pytest.mark.parametrize("spoilt", STAGES)
def test_what_the_files_came_from_and_what_judged_them_may_stop_a_promotion(tmp_path: Path, spoilt: str) -> None:
    made = plant(tmp_path, spoilt, ("not promotable: the code differs",), is_promotable=False)
    found = evidence(tmp_path, "easel", 3, DIGEST)
    assert found.record == made["export"]
    if spoilt == "distill":
        assert found.fault == ""
    else:
        assert found.fault.startswith(f"version 3 of easel is {spoilt}: not promotable: the code differs; --override")


def test_only_stages_that_it_stands_on_are_told_as_observed(tmp_path: Path) -> None:
    for spoilt in ("sft", "distill"):
        plant(tmp_path / spoilt, spoilt, (OBSERVED,), is_promotable=True)
    (told,) = evidence(tmp_path / "sft", "easel", 3, DIGEST).notes
    assert "nobody saw these stages run: sft;" in told
    assert evidence(tmp_path / "distill", "easel", 3, DIGEST).notes == ()


def test_the_names_are_those_of_the_pipeline() -> None:
    assert EVALUATE.name == EVALUATION
    assert EVALUATE.out("report") == EXPORT.inputs["report"]
    models = {role for role, one in EVALUATE.inputs.items() if one.made_by in ("pretrain_3", "sft", "dpo", "distill")}
    assert models == set(MEASURED)
    assert EXPORT.outputs["pipeline"] == "artifacts/export"
