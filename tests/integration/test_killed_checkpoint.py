"""Checkpoints written by a process that is killed without warning, again and again."""

import multiprocessing
import os
import random
import signal
import time

from components.training.checkpoint_store import CheckpointStore

NUM_KILLS = 40
IDENTITY = {"stage": "pretrain"}
FORK = multiprocessing.get_context("fork")


def store_of(directory):
    said = []
    return CheckpointStore(directory, IDENTITY, warn=said.append), said


def content(images_seen, name):
    return random.Random(f"{images_seen} {name}").randbytes(20_000)


def write_for_ever(directory, committed, is_writing):
    """What a training process does: find the newest checkpoint, check it, and write one after another from there."""
    store, _ = store_of(directory)
    store.clear_leftovers()
    found = store.latest()
    images_seen = found.images_seen if found else 0
    is_writing.set()
    while True:
        images_seen += 8
        folder = store.begin(images_seen)
        for name in ("weights.safetensors", "optimiser.safetensors"):
            (folder / name).write_bytes(content(images_seen, name))
        store.leave_receipt(folder, 0, [folder / "weights.safetensors"])
        store.commit(folder, images_seen, {})
        committed.value = images_seen


def killed_writer(directory, committed, delay_s, num_commits=0):
    """Start a writer, kill it `delay_s` after it has written so many; returns how long it wrote."""
    is_writing = FORK.Event()
    child = FORK.Process(target=write_for_ever, args=(directory, committed, is_writing))
    before = committed.value
    child.start()
    assert is_writing.wait(60)
    began = time.monotonic()
    while committed.value < before + 8 * num_commits:
        assert child.exitcode is None
        time.sleep(0.001)
    time.sleep(delay_s)
    os.kill(child.pid, signal.SIGKILL)
    wrote_s = time.monotonic() - began
    child.join()
    return wrote_s


def test_whenever_the_writer_is_killed_the_newest_checkpoint_is_whole(tmp_path):
    chance, committed = random.Random(0), FORK.Value("q", 0, lock=False)
    typical_s = killed_writer(tmp_path, committed, 0.0, num_commits=5) / 5  # however fast this machine is
    seen = [committed.value]
    for _ in range(NUM_KILLS):
        killed_writer(tmp_path, committed, chance.uniform(0.0, 3.0 * typical_s))
        store, said = store_of(tmp_path)
        found = store.latest()
        assert said == []
        assert found is not None
        for name in ("weights.safetensors", "optimiser.safetensors"):
            assert (found.directory / name).read_bytes() == content(found.images_seen, name)
        seen.append(found.images_seen)
        assert seen[-1] >= committed.value  # nothing that was committed is lost
    assert seen == sorted(seen)
