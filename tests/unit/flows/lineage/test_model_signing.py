"""Exports are signed for their record: found by what they hold, and never if they are not what was recorded."""

import base64
import json
from pathlib import Path

import pytest
from signed_workspace import SignedWorkspace, signed_workspace

from components.lineage.model_signature import check_model
from flows.lineage.model_signing import (
    SigningError,
    bring_back_signatures,
    kept_signature,
    sign_exports,
    sign_or_remark,
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SignedWorkspace:
    made = signed_workspace(tmp_path)
    made.signature.unlink()
    monkeypatch.setenv("EASEL_LEDGER_KEY", str(made.key_file))
    monkeypatch.delenv("EASEL_LEDGER_SIGNER", raising=False)
    return made


def test_an_export_is_signed_beside_it_and_in_the_ledger(place: SignedWorkspace) -> None:
    record = place.records["export_turbo"]
    assert sign_exports(place.root, place.ledger, record) == (place.signature,)
    bundle = place.signature.read_bytes()
    assert check_model(place.folder, bundle, place.signer.public_pem) is None
    assert place.ledger.blob(kept_signature(record.id)) == bundle
    says = json.loads(base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]))["predicate"]["easel"]
    assert (says["record"], says["fingerprint"]) == (record.id, record.fingerprint)
    assert says["evaluation"] == place.records["evaluate"].outputs[0].sha256
    trained = place.records["distill"]
    assert [one["root"] for one in says["data_roots"]] == [one.root for one in trained.samples.sets]


def test_a_training_that_only_the_evaluation_saw_is_not_bound(place: SignedWorkspace) -> None:
    """The report compares other models too; their images are none of this one's."""
    other = place.records["distill"].model_copy(update={"subject": "dpo"})
    place.keep(other)
    report = place.records["evaluate"]
    read = report.inputs[0].model_copy(update={"made_by": other.id, "path": "artifacts/models/dpo"})
    compared = report.model_copy(update={"inputs": (*report.inputs, read), "parents": (*report.parents, other.id)})
    place.keep(compared)
    record = place.records["export_turbo"]
    inputs = tuple(i.model_copy(update={"made_by": compared.id}) if i.role == "report" else i for i in record.inputs)
    newest = place.keep(record.model_copy(update={"inputs": inputs, "parents": (*record.parents, compared.id)}))
    sign_exports(place.root, place.ledger, newest)
    says = json.loads(base64.b64decode(json.loads(place.signature.read_bytes())["dsseEnvelope"]["payload"]))
    assert {one["stage"] for one in says["predicate"]["easel"]["data_roots"]} == {"distill"}


@pytest.mark.parametrize("stage", ["ingest", "distill", "evaluate"])
def test_what_is_no_exported_pipeline_is_not_signed(place: SignedWorkspace, stage: str) -> None:
    assert sign_exports(place.root, place.ledger, place.records[stage]) == ()
    assert not place.signature.exists()


def test_an_export_that_changed_since_is_not_signed(place: SignedWorkspace, capsys: pytest.CaptureFixture[str]) -> None:
    (place.folder / "model_index.json").write_bytes(b"{}")
    with pytest.raises(SigningError, match="not what its record says"):
        sign_exports(place.root, place.ledger, place.records["export_turbo"])
    assert not place.signature.exists()
    sign_or_remark(place.root, place.ledger, place.records["export_turbo"])
    assert "export_turbo: not signed" in capsys.readouterr().err


@pytest.mark.parametrize("beside", [b"", b"of the pipeline that was here before"])
@pytest.mark.parametrize("is_kept", [True, False])
def test_a_signature_that_is_gone_is_brought_back(place: SignedWorkspace, is_kept: bool, beside: bytes) -> None:
    record, before = place.records["export_turbo"], b""
    if is_kept:
        before = sign_exports(place.root, place.ledger, record)[0].read_bytes()
        place.signature.unlink()
    if beside:
        place.signature.write_bytes(beside)
    bring_back_signatures(place.root, place.ledger, ["artifacts/latents", "artifacts/export_turbo"], record.id)
    after = place.signature.read_bytes()
    assert check_model(place.folder, after, place.signer.public_pem) is None
    assert (after == before) is is_kept
