"""Checkpoints written by a process that is killed without warning, again and again."""

import multiprocessing
import os
import random
import signal
import time

from components.training.checkpoint_store import CheckpointStore

NUM_KILLS = 40
IDENTITY = {"stage": "pretrain"}


def store_of(directory):
    said = []
    return CheckpointStore(directory, IDENTITY, warn=said.append), said


def content(images_seen, name):
    return random.Random(f"{images_seen} {name}").randbytes(20_000)


def write_for_ever(directory, committed):
    """What a training process does: find the newest checkpoint, check it, and write one after another from there."""
    store, _ = store_of(directory)
    store.clear_leftovers()
    found = store.latest()
    images_seen = found.images_seen if found else 0
    while True:
        images_seen += 8
        folder = store.begin(images_seen)
        for name in ("weights.safetensors", "optimiser.safetensors"):
            (folder / name).write_bytes(content(images_seen, name))
        store.leave_receipt(folder, 0, [folder / "weights.safetensors"])
        store.commit(folder, images_seen, {})
        committed.value = images_seen


def test_whenever_the_writer_is_killed_the_newest_checkpoint_is_whole(tmp_path):
    fork, chance, seen = multiprocessing.get_context("fork"), random.Random(0), [0]
    committed = fork.Value("q", 0, lock=False)
    for _ in range(NUM_KILLS):
        child = fork.Process(target=write_for_ever, args=(tmp_path, committed))
        child.start()
        time.sleep(chance.uniform(0.0, 0.08))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        store, said = store_of(tmp_path)
        found = store.latest()
        assert said == []
        if found is not None:
            for name in ("weights.safetensors", "optimiser.safetensors"):
                assert (found.directory / name).read_bytes() == content(found.images_seen, name)
        seen.append(found.images_seen if found else 0)
        assert seen[-1] >= committed.value  # nothing that was committed is lost
    assert seen == sorted(seen)
    assert len(set(seen)) > NUM_KILLS // 4  # most attempts got somewhere
