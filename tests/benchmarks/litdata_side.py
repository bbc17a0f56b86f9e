"""litdata's streaming of cached latents from the local disk, in its own environment and without anything of ours.

Written by `optimize`, read by its own loader, padded to the longest text, in float32: what a training step is given.
Its default decodes 32 samples for each one that a shuffled order asks for, where samples hold arrays; so besides the
order of the files it is measured shuffled with each sample decoded alone, and shuffled in blocks of that size. The
first batches, in which workers start, are not timed.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from litdata import StreamingDataLoader, StreamingDataset, optimize

WARM_UP_BATCHES, TIMED_BATCHES = 20, 200
ORDERS = {
    "shuffled": {"shuffle": True, "batch_decode": 1},
    "shuffled in blocks of 32": {"shuffle": True, "item_shuffle_window": 32},
    "not shuffled": {"shuffle": False},
}


def samples(folder, rows):
    names = ("latents", "states", "offsets")
    latents, states, offsets = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in names)
    for row in rows:
        text = states[offsets[row] : offsets[row + 1]]
        yield {"latents": torch.from_numpy(latents[row].copy()), "states": torch.from_numpy(text.copy())}


def collate(batch):
    return {
        "latents": torch.stack([one["latents"] for one in batch]).float(),
        "states": torch.nn.utils.rnn.pad_sequence([one["states"] for one in batch], batch_first=True).float(),
        "lengths": torch.tensor([len(one["states"]) for one in batch]),
    }


def samples_per_s(folder, batch_size, num_workers, order):
    data = StreamingDataset(str(folder / "litdata"), seed=1, **order)
    loader = StreamingDataLoader(data, batch_size=batch_size, num_workers=num_workers, collate_fn=collate)
    num_samples, started = 0, 0.0
    for number, batch in enumerate(loader):
        if number == WARM_UP_BATCHES:
            started = time.perf_counter()
        if number > WARM_UP_BATCHES:
            num_samples += len(batch["latents"])
        if number == WARM_UP_BATCHES + TIMED_BATCHES:
            break
    return num_samples / (time.perf_counter() - started)


def main():
    folder, batch_size = Path(sys.argv[1]), int(sys.argv[2])
    num_samples = len(np.load(folder / "latents.npy", mmap_mode="r"))
    torch.set_num_threads(1)
    if not (folder / "litdata").exists():
        parts = [range(start, min(start + 1000, num_samples)) for start in range(0, num_samples, 1000)]
        optimize(partial(samples, folder), parts, str(folder / "litdata"), chunk_bytes="64MB", num_workers=1)
    rates = {
        f"{name}, {workers} workers": samples_per_s(folder, batch_size, workers, order)
        for name, order in ORDERS.items()
        for workers in (0, 1, 2)
    }
    sys.stdout.write("\n" + json.dumps(rates) + "\n")


if __name__ == "__main__":
    main()
