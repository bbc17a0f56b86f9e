"""Checkpoints written by a process that is killed without warning, again and again."""

import random
import subprocess
import sys
import time

from components.training.checkpoint_store import CheckpointStore

NUM_KILLS = 40
IDENTITY = {"stage": "pretrain"}
WRITER = """
import random, sys
from pathlib import Path
from components.training.checkpoint_store import CheckpointStore

# What a training process does: find the newest checkpoint, check it, and write one after another from there.
store = CheckpointStore(Path(sys.argv[1]), {"stage": "pretrain"})
store.clear_leftovers()
found = store.latest()
images_seen = found.images_seen if found else 0
print(images_seen, flush=True)
while True:
    images_seen += 8
    folder = store.begin(images_seen)
    for name in ("weights.safetensors", "optimiser.safetensors"):
        (folder / name).write_bytes(random.Random(f"{images_seen} {name}").randbytes(20_000))
    store.leave_receipt(folder, 0, [folder / "weights.safetensors"])
    store.commit(folder, images_seen, {})
    print(images_seen, flush=True)
"""


def killed_writer(directory, delay_s, num_commits=0):
    """Kill a writer `delay_s` after it wrote so many; returns the last that it committed, and how long it wrote."""
    command = [sys.executable, "-c", WRITER, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        said = [child.stdout.readline()]
        began = time.monotonic()
        said += [child.stdout.readline() for _ in range(num_commits)]
        time.sleep(delay_s)
        child.kill()
        wrote_s = time.monotonic() - began
        said += child.communicate(timeout=60)[0].splitlines()
    assert all(said), "the writer ended by itself"
    return int(said[-1]), wrote_s


def test_whenever_the_writer_is_killed_the_newest_checkpoint_is_whole(tmp_path):
    chance = random.Random(0)
    committed, five_s = killed_writer(tmp_path, 0.0, num_commits=5)  # however fast this machine is
    seen = [committed]
    for _ in range(NUM_KILLS):
        committed, _ = killed_writer(tmp_path, chance.uniform(0.0, 3.0 * five_s / 5))
        complaints = []
        found = CheckpointStore(tmp_path, IDENTITY, warn=complaints.append).latest()
        assert complaints == []
        assert found is not None
        for name in ("weights.safetensors", "optimiser.safetensors"):
            expected = random.Random(f"{found.images_seen} {name}").randbytes(20_000)
            assert (found.directory / name).read_bytes() == expected
        seen.append(found.images_seen)
        assert seen[-1] >= committed  # nothing that was committed is lost
    assert seen == sorted(seen)
