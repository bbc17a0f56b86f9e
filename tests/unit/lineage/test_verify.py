"""The walk from a model to its sources over a small workspace whose every byte is recorded."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from signed_workspace import AT, SignedWorkspace, planted_images, planted_sets, signed_workspace, write_images

from components.data.opt_out import format_list
from components.lineage.chain import BrokenError, binding, walk
from components.lineage.folder_digests import path_digest
from components.lineage.graph import Graph
from components.lineage.keys import make_key
from components.lineage.record import Item, Record
from components.lineage.verify import Step, Subject, check_signature
from flows.lineage.verification import all_steps


def verify(place: SignedWorkspace, trusted: tuple[bytes, ...] = (), *, is_quick: bool = False) -> list[Step]:
    name = place.signature.relative_to(place.root).as_posix()
    bundle = place.signature.read_bytes()
    return list(all_steps(Subject(place.folder, name, bundle, trusted, place.ledger, place.root, is_quick)))


def fault_of(place: SignedWorkspace) -> str:
    with pytest.raises(BrokenError) as caught:
        verify(place)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def place(tmp_path: Path) -> SignedWorkspace:
    return signed_workspace(tmp_path)


def test_an_untouched_model_is_walked_to_its_source_images(place: SignedWorkspace) -> None:
    before = {file: file.stat().st_mtime_ns for file in place.root.rglob("*")}
    found = {step.name: step for step in verify(place, (place.signer.public_pem,))}
    assert list(found) == ["signature", "record", "records", "files", "samples", "opt-outs", "images"]
    assert found["records"].found == "7 records, 11 inputs, each from its maker, up to data, data/autoencoder"
    assert found["images"].found.startswith("24 source images, all named by records; 18 drawn")
    assert not any(step.notes for step in found.values())
    assert {file: file.stat().st_mtime_ns for file in place.root.rglob("*")} == before, "it wrote something"


def test_a_model_signed_with_another_key_is_told(place: SignedWorkspace, tmp_path: Path) -> None:
    other = signed_workspace(tmp_path / "other")
    with pytest.raises(BrokenError, match="is not trusted"):
        verify(place, (other.signer.public_pem,))
    place.signature.write_bytes(other.signature.read_bytes())
    assert "is not trusted" in fault_of(place)


def test_a_model_made_with_another_ledger_is_told(place: SignedWorkspace, tmp_path: Path) -> None:
    other = signed_workspace(tmp_path / "other", {"render_text": {"generated": []}})
    other.ledger.store.create(f"keys/{place.signer.key_id}.pem", place.signer.public_pem)
    name, bundle = "turbo.model.sig", place.signature.read_bytes()
    with pytest.raises(BrokenError, match="is this the ledger that the model was made with"):
        list(all_steps(Subject(place.folder, name, bundle, (), other.ledger, place.root)))


def test_a_signature_of_another_tool_gets_as_far_as_it_goes(place: SignedWorkspace, tmp_path: Path) -> None:
    from model_signing import signing

    signing.Config().use_elliptic_key_signer(private_key=place.key_file).sign(place.folder, place.signature)
    assert "names no record" in fault_of(place)


def test_a_signature_that_does_not_say_whose_it_is_is_tried_with_every_key(
    place: SignedWorkspace, tmp_path: Path
) -> None:
    from model_signing import signing

    signing.Config().use_elliptic_key_signer(private_key=place.key_file).sign(place.folder, place.signature)
    bundle = json.loads(place.signature.read_bytes())
    bundle["verificationMaterial"]["publicKey"].pop("hint")
    stranger, own = make_key(tmp_path / "stranger.pem").public_pem, place.signer.public_pem
    for keys in ((stranger, own), (own, stranger)):
        subject = Subject(place.folder, "turbo.model.sig", json.dumps(bundle).encode(), keys, place.ledger, place.root)
        assert place.signer.key_id[:16] in check_signature(subject).found


def test_a_signature_that_binds_other_roots_is_told(place: SignedWorkspace) -> None:
    bound = binding(Graph([one for _, one in place.ledger.records()]), place.records["export_turbo"])
    assert {one["stage"] for one in bound["data_roots"]} == {"distill"}
    assert bound["evaluation"] == place.records["evaluate"].outputs[0].sha256
    bound["data_roots"][0]["root"] = hashlib.sha256(b"").hexdigest()
    place.sign(bound)
    assert "binds another data_roots" in fault_of(place)


@pytest.mark.parametrize("name", [".gitattributes", ".git/hooks/post-checkout"])
def test_a_file_that_the_format_leaves_out_is_named_when_it_is_added(place: SignedWorkspace, name: str) -> None:
    added = place.folder / name
    added.parent.mkdir(parents=True, exist_ok=True)
    added.write_bytes(b"")
    assert fault_of(place).startswith(f"{added}: not signed, and nothing that record ")


def test_a_pipe_where_a_folder_was_is_not_read_for_ever(place: SignedWorkspace) -> None:
    (place.root / "artifacts/latents").rename(place.root / "aside")
    os.mkfifo(place.root / "artifacts/latents")
    assert fault_of(place) == "artifacts/latents: neither a file nor a folder; take it away"


def test_a_signed_model_that_its_record_did_not_write_is_told(place: SignedWorkspace) -> None:
    (place.folder / "transformer/model.safetensors").write_bytes(b"other weights")
    place.sign()
    assert f"record {place.records['export_turbo'].id} (export_turbo) wrote" in fault_of(place)


def relinked(place: SignedWorkspace, change: Callable[[Item], Item]) -> None:
    """Append another export record, whose first input is changed, and sign for it."""
    record = place.records["export_turbo"]
    inputs = (change(record.inputs[0]), *record.inputs[1:])
    kept = place.keep(record.model_copy(update={"inputs": inputs, "attempt": 2}))
    place.sign({"record": kept.id})


def test_an_edited_digest_is_told_by_the_record_that_has_it(place: SignedWorkspace) -> None:
    relinked(place, lambda item: item.model_copy(update={"sha256": "ab" * 32}))
    fault = fault_of(place)
    assert fault.startswith(f"record {place.records['export_turbo'].id} (export_turbo): read artifacts/models/turbo")
    assert place.records["distill"].outputs[0].sha256 in fault


def test_an_input_that_nobody_made_is_told(place: SignedWorkspace) -> None:
    relinked(place, lambda item: item.model_copy(update={"sha256": "ab" * 32, "made_by": ""}))
    assert "which no record before it made" in fault_of(place)


def test_a_maker_that_the_log_does_not_hold_is_told(place: SignedWorkspace) -> None:
    relinked(place, lambda item: item.model_copy(update={"made_by": "ab" * 32}))
    assert f"stands on record {'ab' * 32}" in fault_of(place)


def test_equal_bytes_made_again_later_do_not_confuse_the_walk(place: SignedWorkspace) -> None:
    """A later record with the same output is no maker of what was read before it."""
    again = place.records["encode"].model_copy(update={"attempt": 2})
    inputs = tuple(item.model_copy(update={"made_by": ""}) for item in place.records["distill"].inputs)
    place.keep(place.records["distill"].model_copy(update={"inputs": inputs, "parents": (), "attempt": 2}))
    place.keep(again)
    chain = walk(Graph([one for _, one in place.ledger.records()]), place.records["distill"].id)
    assert again.id not in {record.id for record in chain.records}
    assert [item.path for item in chain.sources] == ["data", "data/autoencoder"]


@pytest.mark.parametrize(
    ("stage", "role", "told"),
    [
        ("ingest", "kept", "were not received"),
        ("encode", "offered", "were not kept by a filter before it or drawn by us"),
        ("distill", "drawn", "were not offered to it"),
    ],
)
def test_a_sample_out_of_nowhere_is_told(tmp_path: Path, stage: str, role: str, told: str) -> None:
    images = planted_images()
    strange = hashlib.sha256(b"out of nowhere").hexdigest()
    sets = planted_sets(images)[stage]
    place = signed_workspace(tmp_path / "wrong", {stage: sets | {role: [*sets[role], strange]}})
    fault = fault_of(place)
    assert told in fault
    assert fault.endswith(strange)
    assert fault.startswith(f"record {place.records[stage].id} ({stage})")


def test_what_the_last_filter_dropped_may_not_come_back(tmp_path: Path) -> None:
    """The filter stands behind `ingest`, which had kept the image."""
    images = planted_images()
    ids, sets = list(images), planted_sets(images)
    place = signed_workspace(tmp_path / "wrong", {"encode": sets["encode"] | {"offered": [*ids[6:], ids[2]]}})
    assert fault_of(place).endswith(ids[2])


def test_a_held_out_sample_that_was_drawn_is_told(tmp_path: Path) -> None:
    images = planted_images()
    ids, sets = list(images), planted_sets(images)
    place = signed_workspace(tmp_path / "wrong", {"distill": sets["distill"] | {"held_out": [ids[9]]}})
    assert "held out and drawn all the same" in fault_of(place)


def test_what_is_no_longer_here_is_told_and_no_fault(place: SignedWorkspace) -> None:
    (place.root / "artifacts/tables/verdicts.parquet").unlink()
    (place.root / "data/images/part-00000.parquet").unlink()
    (place.root / "data/autoencoder/config.json").unlink()
    (place.root / "data/autoencoder/model.safetensors").unlink()
    (place.root / "data/autoencoder").rmdir()
    (place.root / "data/images").rmdir()
    (place.root / "data").rmdir()
    found = {step.name: step for step in verify(place)}
    assert "3 no longer here" in found["files"].found
    assert "artifacts/tables/verdicts.parquet: not in the workspace" in found["files"].notes
    assert found["images"].found.startswith("24 source images, all named by records")
    assert any("source images are not here" in note for note in found["images"].notes)


def test_a_later_run_s_files_are_told_apart_from_changed_ones(place: SignedWorkspace) -> None:
    latents = place.root / "artifacts/latents/a.bin"
    latents.write_bytes(b"made again")
    assert fault_of(place).startswith("artifacts/latents/a.bin: recorded as ")
    from signed_workspace import item

    later = item(place.root, "latents", "artifacts/latents")
    place.keep(place.records["encode"].model_copy(update={"outputs": (later,), "attempt": 2}))
    found = {step.name: step for step in verify(place)}
    assert found["files"].notes == ("artifacts/latents: holds what another run made, or a takedown left",)


def test_data_that_a_takedown_wrote_anew_are_no_fault(place: SignedWorkspace) -> None:
    """Records hold digests only, so that history stays verifiable when an image is gone."""
    raw = place.root / "data/images/part-00000.parquet"
    write_images(raw, dict(list(place.images.items())[1:]), "image")
    assert fault_of(place).startswith("data/images/part-00000.parquet: recorded as ")
    done = {"state": "completed", "rewritten": {"data": path_digest(place.root / "data")}}
    place.keep(Record(kind="takedown", subject="takedown", started_at=AT, ended_at=AT, decision=done))
    found = {step.name: step for step in verify(place)}
    assert found["files"].notes == ("data: holds what another run made, or a takedown left",)
    assert found["images"].found.startswith("24 source images, all named by records")
    raw.write_bytes(raw.read_bytes()[:-1])
    assert fault_of(place).startswith("data/images/part-00000.parquet: recorded as ")


def test_a_folder_without_a_list_is_named_itself(place: SignedWorkspace) -> None:
    sha256 = next(item.sha256 for item in place.records["encode"].outputs)
    assert place.ledger.blob(f"folders/{sha256}") is not None
    record = place.records["encode"]
    made = [one for one in place.records.values() if one.subject != "encode"]
    assert record not in made
    (place.root / "artifacts/latents/more.bin").write_bytes(b"")
    assert fault_of(place).startswith("artifacts/latents/more.bin: recorded as no such file")


def test_a_shard_whose_images_are_not_those_it_names_is_told(tmp_path: Path) -> None:
    """Digests and signatures hold, but the record's sets are of other images: only reading the images shows it."""
    images = planted_images()
    ids = list(images)
    place = signed_workspace(tmp_path / "wrong", {"ingest": {"received": ids, "kept": ids}})
    shard = place.root / "artifacts/images/part-00000.parquet"
    swapped = dict(zip(ids, [*list(images.values())[1:], images[ids[0]]], strict=True))
    write_images(shard, swapped, "bytes")
    from signed_workspace import item

    outputs = tuple(item(place.root, one.role, one.path) for one in place.records["ingest"].outputs)
    place.keep(place.records["ingest"].model_copy(update={"outputs": outputs, "attempt": 2}))
    for stage in ("filter_images", "encode", "distill", "evaluate", "export_turbo"):
        _again(place, stage)
    place.sign()
    assert "has other bytes than its name says" in fault_of(place)


def _again(place: SignedWorkspace, stage: str) -> None:
    """The stage's record once more, standing on the newest records."""
    record = place.records[stage]
    newest = {item.path: (item.sha256, one.id) for one in place.records.values() for item in one.outputs}
    inputs = tuple(
        item.model_copy(update=dict(zip(("sha256", "made_by"), newest[item.path], strict=True)))
        if item.path in newest
        else item
        for item in record.inputs
    )
    parents = tuple(dict.fromkeys(item.made_by for item in inputs if item.made_by))
    place.keep(record.model_copy(update={"inputs": inputs, "parents": parents, "attempt": 2}))


@pytest.mark.parametrize("is_named", [True, False])
def test_an_opted_out_sample_among_the_offered_is_told(tmp_path: Path, is_named: bool) -> None:
    place = signed_workspace(tmp_path)
    ids = list(place.images)
    text = format_list("salt", [ids[10] if is_named else ids[0], "https://example.org/image.png"])
    (place.root / "infra").mkdir()
    (place.root / "infra/opt-out.txt").write_text(text)
    told = hashlib.sha256(text.encode()).hexdigest()
    with_list = place.records["encode"].samples.model_copy(update={"opt_out": told})
    place.records["encode"] = place.records["encode"].model_copy(update={"samples": with_list})
    for stage in ("encode", "distill", "evaluate", "export_turbo"):
        _again(place, stage)
    place.sign()
    if is_named:
        assert f"was offered sample {ids[10]}" in fault_of(place)
    else:
        found = {step.name: step.found for step in verify(place)}
        assert found["opt-outs"] == "none of 22 samples is among the 2 names on the list"


def test_samples_that_were_taken_down_since_are_told(place: SignedWorkspace) -> None:
    (place.root / "infra").mkdir()
    (place.root / "infra/opt-out.txt").write_text(format_list("salt", list(place.images)[9:11]))
    found = {step.name: step for step in verify(place)}
    assert found["opt-outs"].found == "no list was in force"
    assert found["opt-outs"].notes[0].startswith("today's list names 2 of its 22 samples")


def test_a_link_instead_of_a_file_is_told(place: SignedWorkspace) -> None:
    report = place.root / "artifacts/report/a.bin"
    report.rename(place.root / "elsewhere.bin")
    report.symlink_to(place.root / "elsewhere.bin")
    assert "symbolic link" in fault_of(place)


def test_paths_that_lead_out_of_the_workspace_are_not_read(place: SignedWorkspace, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    record: Record = place.records["encode"]
    out = Item(role="x", path="../secret", sha256="ab" * 32, size=1)
    place.keep(record.model_copy(update={"inputs": (*record.inputs, out), "attempt": 2}))
    for stage in ("distill", "evaluate", "export_turbo"):
        _again(place, stage)
    place.sign()
    assert len(verify(place)) == 7


def test_steps_are_plain_words(place: SignedWorkspace) -> None:
    assert json.dumps([step.found for step in verify(place)])
