"""Batches of cached 64-px latents, from files to what a training step is given, against litdata's streaming of them.

32 channels x 4 x 4 in float16 and 8 to 12 tokens of text each, in batches of 256. Ours draws rows and captions by
position, drops captions, pads, and gives each sample its generator; litdata reads what it wrote, and pads. Both from
files that are in the page cache, each twice in turn, the faster counts; litdata with the order, its files' own too, and
the number of workers that suit it best.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from harness import Figure, at_least, in_child

NUM_SAMPLES, BATCH_SIZE, TEXT_DIM = 60_000, 256, 64
ENVIRONMENT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "easel-bench" / "litdata"


def measure(folder: Path) -> list[Figure]:
    in_child(write_samples, folder)
    python = litdata_python()
    ours, theirs = dict[str, float](), dict[str, float]()
    for _ in range(2):
        for name, ahead in (("when asked for", 0), ("ahead in a thread", 4)):
            ours[name] = max(ours.get(name, 0), in_child(loaded, folder, ahead).value)
        for name, rate in litdata(python, folder).items():
            theirs[name] = max(theirs.get(name, 0), rate)
    return [
        *(at_least(f"ours, prepared {name}", rate, "samples/s", 10_000) for name, rate in ours.items()),
        *(Figure(f"litdata, {name}", rate, "samples/s") for name, rate in theirs.items()),
        at_least("ours over litdata at its best", max(ours.values()) / max(theirs.values()), "times", 2),
    ]


def write_samples(folder: Path) -> None:
    """One store of ours, and the same arrays as plain files for litdata."""
    import pyarrow as pa

    from components.data import latents as store
    from components.data.buckets import Bucket
    from components.data.records import SELECTION

    rng = np.random.default_rng(0)
    latents = rng.standard_normal((NUM_SAMPLES, 32, 4, 4)).astype(np.float16)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(8, 13, NUM_SAMPLES + 1))])
    states = rng.standard_normal((offsets[-1], TEXT_DIM)).astype(np.float16)
    facts = {"category": "food", "style": "photo", "concept": "a thing", "split": "train"}
    ids = [rng.bytes(32).hex() for _ in range(NUM_SAMPLES)]
    columns = [ids, *([value] * NUM_SAMPLES for value in facts.values()), rng.random(NUM_SAMPLES) / NUM_SAMPLES]
    numbers = np.arange(NUM_SAMPLES)
    links = pa.table([numbers, ["short"] * NUM_SAMPLES, numbers + 1], schema=store.CAPTION_LINKS)
    place = folder / "store"
    store.write_latents(place, 64, latents)
    store.write_texts(place, links, ["", *ids], store.EncodedTexts(states, offsets))
    store.write_rows(place, pa.table(columns, schema=SELECTION))
    store.write_layout(place, store.Layout("0" * 64, "crop", {64: [Bucket(64, 64)]}))
    np.save(folder / "latents.npy", latents)
    np.save(folder / "states.npy", states[offsets[1] :])
    np.save(folder / "offsets.npy", offsets[1:] - offsets[1])


def loaded(folder: Path, ahead: int) -> float:
    """Samples per second of one process; `ahead` batches are prepared in a thread, or none."""
    import torch

    from components.data.latents import read_buckets
    from components.training.batches import BatchSource
    from components.training.config import BatchConfig
    from components.training.prefetch import prefetched

    torch.set_num_threads(1)
    config = BatchConfig(BATCH_SIZE, {"short": 1.0}, 0.1)
    source = BatchSource(read_buckets(folder / "store", 64), config, seed=1)
    batches = source.slices(0, 221)
    num_samples, started = 0, 0.0
    for number, batch in enumerate(prefetched(batches, ahead) if ahead else batches):
        if number == 20:
            started = time.perf_counter()
        if number > 20:
            num_samples += len(batch.rows)
    return num_samples / (time.perf_counter() - started)


def litdata(python: Path, folder: Path) -> dict[str, float]:
    """Samples per second by order and number of workers."""
    command = [str(python), str(Path(__file__).with_name("litdata_side.py")), str(folder), str(BATCH_SIZE)]
    given = {"DATA_OPTIMIZER_CACHE_FOLDER": str(folder / "cache"), "LITDATA_DISABLE_VERSION_CHECK": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | given)
    return json.loads(done.stdout.splitlines()[-1])


def litdata_python() -> Path:
    """The interpreter of litdata's own environment, made once: it wants torchvision, which we do not use."""
    python, ready = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "ready"
    if not ready.exists():
        import torch

        sys.stdout.write(f"installing litdata into {ENVIRONMENT} (once)\n")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"torch=={torch.__version__.partition('+')[0]}", "litdata"], check=True)
        ready.touch()
    return python
