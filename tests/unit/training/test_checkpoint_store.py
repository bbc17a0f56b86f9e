"""Whatever happens to the files, what comes out of a store is a checkpoint exactly as it was written, or nothing."""

import json
import os
import threading
import time

import pytest

from components.training.checkpoint_files import (
    MANIFEST,
    CheckpointError,
    CheckpointMismatchError,
    differing_fields,
    file_names,
)
from components.training.checkpoint_store import (
    AsyncWriter,
    CheckpointStore,
    current_checkpoints,
    keep_newest,
    newest_name,
    not_continued,
    open_checkpoints,
)

IDENTITY = {"stage": "pretrain", "params": {"seed": 1, "betas": (0.9, 0.99)}, "inputs": {"latents": "ab"}, "code": "c"}


@pytest.fixture
def said():
    return []


@pytest.fixture
def store(tmp_path, said):
    return CheckpointStore(tmp_path / "run", IDENTITY, warn=said.append)


def write(store, images_seen, num_ranks=1):
    folder = store.begin(images_seen)
    for rank in range(num_ranks):
        (folder / f"weights-{rank}.safetensors").write_bytes(bytes([images_seen % 251, rank]) * 500)
        (folder / "optimiser").mkdir(exist_ok=True)
        (folder / "optimiser" / f"{rank}.pt").write_bytes(bytes([rank]) * 300)
        store.leave_receipt(folder, rank, [folder / f"weights-{rank}.safetensors"])
    return store.commit(folder, images_seen, {"step": images_seen // 10}, num_ranks)


def test_what_is_written_comes_back(store, tmp_path, said):
    assert store.latest() is None
    written = write(store, 20, num_ranks=2)
    again = CheckpointStore(tmp_path / "run", IDENTITY, warn=said.append)
    assert again.latest() == again.at(20) == written
    assert (written.images_seen, written.num_ranks, written.facts) == (20, 2, {"step": 2})
    assert file_names(written.directory) - {MANIFEST} == {
        "weights-0.safetensors", "weights-1.safetensors", "optimiser/0.pt", "optimiser/1.pt"
    }  # fmt: skip
    assert said == []


def test_the_newest_is_found_and_only_so_many_are_kept(store, tmp_path):
    for images_seen in (10, 20, 30, 1_000_000_000_000_0):
        write(store, images_seen)
        assert store.latest().images_seen == images_seen
    assert len([p for p in (tmp_path / "run").iterdir() if p.is_dir()]) == 2


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


HARM = {
    "a flipped bit in a file": lambda folder: flip(folder / "weights-0.safetensors"),
    "a flipped bit in a file without receipt": lambda folder: flip(folder / "optimiser" / "0.pt"),
    "a file cut short": lambda folder: os.truncate(folder / "weights-0.safetensors", 999),
    "an empty file": lambda folder: os.truncate(folder / "weights-0.safetensors", 0),
    "a missing file": lambda folder: (folder / "optimiser" / "0.pt").unlink(),
    "a file too many": lambda folder: (folder / "optimiser" / "1.pt").write_bytes(b"pickle"),
    "no manifest": lambda folder: (folder / MANIFEST).unlink(),
    "a manifest cut short": lambda folder: os.truncate(folder / MANIFEST, 100),
    "an empty manifest": lambda folder: os.truncate(folder / MANIFEST, 0),
    "a manifest of another shape": lambda folder: (folder / MANIFEST).write_text("[]"),
    "a flipped bit in the manifest": lambda folder: flip(folder / MANIFEST),
    "a digest made to fit": lambda folder: (folder / MANIFEST).write_text(
        (folder / MANIFEST).read_text().replace('"step": 2', '"step": 3')
    ),
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_a_harmed_checkpoint_is_refused_in_one_line_and_the_one_before_it_used(store, said, harm):
    write(store, 10)
    harm(write(store, 20).directory)
    assert store.latest().images_seen == 10
    assert len(said) == 1
    assert "images-000000000020" in said[0]
    assert "\n" not in said[0]


def test_what_else_lies_there_is_no_checkpoint_and_goes(store, tmp_path, said):
    converted = tmp_path / "run" / "images-000000000010.universal"
    write(store, 10)
    converted.mkdir()
    assert store.latest().images_seen == 10
    write(store, 20)
    assert not converted.exists()
    assert said == []


def test_training_goes_over_a_refused_checkpoint(store, said):
    write(store, 10)
    for images_seen in (20, 30):
        flip(write(store, images_seen).directory / "weights-0.safetensors")
    assert store.latest() is None  # 10 was pruned
    assert len(said) == 2
    write(store, 20)  # the same place again: the new one replaces the harmed one, and 30 goes
    assert store.latest().images_seen == 20
    assert len(said) == 2


@pytest.mark.parametrize("text", ["", "images-0000", "images-000000000030\n", "\0" * 20])
def test_a_spoilt_latest_does_not_hide_what_is_there(store, tmp_path, said, text):
    write(store, 10)
    write(store, 20)
    (tmp_path / "run" / "latest").write_text(text)
    assert store.latest().images_seen == 20
    assert len(said) == 1


def test_a_checkpoint_that_latest_does_not_name_yet_is_not_used(store, tmp_path):
    write(store, 10)
    before = (tmp_path / "run" / "latest").read_text()
    write(store, 20)
    (tmp_path / "run" / "latest").write_text(before)
    assert store.latest().images_seen == 10
    write(store, 20)
    assert store.latest().images_seen == 20


def test_another_run_is_refused_with_the_fields_named(store, tmp_path):
    write(store, 10)
    other = IDENTITY | {"params": {"seed": 2, "betas": [0.9, 0.99]}, "code": "d" * 64}
    with pytest.raises(CheckpointMismatchError, match=r'params\.seed was 1, is 2; code was "c", is "d{36}\.\.\.'):
        CheckpointStore(tmp_path / "run", other).latest()


def test_differing_fields_are_few_and_say_what_is_absent():
    assert differing_fields({"a": {"b": 1}, "c": [1]}, {"a": {"b": 1}, "c": [1]}) == ""
    assert differing_fields({"a": 1}, {"b": {"c": None}}) == "b.c was absent, is null; a was 1, is absent"
    assert differing_fields({}, {str(i): i for i in range(9)}).endswith("; and 5 more")


def test_rank_0_waits_for_every_receipt(store):
    folder = store.begin(10)
    store.leave_receipt(folder, 0)
    with pytest.raises(CheckpointError, match="receipt-00001"):
        store.commit(folder, 10, {}, num_ranks=2, timeout_s=0.01)
    assert store.latest() is None
    late = threading.Timer(0.05, store.leave_receipt, (folder, 1))
    late.start()
    assert store.commit(folder, 10, {}, num_ranks=2) == store.latest()


def test_a_file_that_changed_after_its_receipt_is_not_committed(store):
    folder = store.begin(10)
    (folder / "a").write_text("x")
    store.leave_receipt(folder, 0, [folder / "a"])
    (folder / "a").write_text("xy")
    with pytest.raises(CheckpointError, match="changed"):
        store.commit(folder, 10, {})


def test_leftovers_of_killed_attempts_go(store, tmp_path):
    write(store, 10)
    for name in (".images-000000000020", ".images-000000000005.dropped"):
        (tmp_path / "run" / name).mkdir()
        (tmp_path / "run" / name / "receipt-00000.json").write_text("{}")
    (tmp_path / "run" / ".latest.123").write_text("imag")
    store.clear_leftovers()
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["images-000000000010", "latest"]


def test_a_changed_parameter_is_told_and_an_unchanged_run_is_not(store, tmp_path):
    changed = IDENTITY | {"params": {"seed": 1, "betas": (0.9, 0.95)}}
    assert not_continued(tmp_path / "new", changed) == ""
    write(store, 10)
    assert not_continued(tmp_path / "new", changed) == "not continued: params.betas was [0.9, 0.99], is [0.9, 0.95]"
    assert not_continued(tmp_path / "run", IDENTITY) == ""


def test_few_unfinished_runs_are_kept_of_all_stages_together(tmp_path):
    for age, name in enumerate(("one/a", "two/b", "one/c", "two/d", "one/mine")):
        write(CheckpointStore(tmp_path / name, IDENTITY), 10)
        os.utime(tmp_path / name, (age, age))
    (tmp_path / "one" / "empty").mkdir()
    keep_newest(tmp_path / "one" / "mine", 2)
    assert sorted(p.name for p in tmp_path.glob("*/*")) == ["c", "d", "mine"]
    keep_newest(tmp_path / "one" / "mine", 0)
    assert sorted(p.name for p in tmp_path.glob("*/*")) == ["mine"]
    assert newest_name(tmp_path / "one" / "mine")


def test_a_write_goes_on_beside_and_the_next_one_waits_for_it():
    writer, order, may_end = AsyncWriter(), [], threading.Event()

    def slow():
        may_end.wait(120)
        order.append("first")

    writer.submit(slow)
    order.append("training")
    may_end.set()
    writer.submit(lambda: order.append("second"))
    writer.close()
    assert order == ["training", "first", "second"]


def test_a_failed_write_is_heard_at_the_next_call_once():
    writer = AsyncWriter()

    def fail():
        raise CheckpointError("no")

    writer.submit(fail)
    with pytest.raises(CheckpointError, match="no"):
        writer.submit(time.time)
    writer.submit(fail)
    with pytest.raises(CheckpointError, match="no"):
        writer.close()
    writer.close()


def test_only_inside_the_block_is_there_a_store(store):
    assert current_checkpoints() is None
    with open_checkpoints(store):
        assert current_checkpoints() is store
    assert current_checkpoints() is None


def test_the_manifest_is_plain_json(store):
    manifest = json.loads((write(store, 10).directory / MANIFEST).read_text())["manifest"]
    assert manifest["identity"] == json.loads(json.dumps(IDENTITY))
    assert manifest["files"]["optimiser/0.pt"][1] == 300
