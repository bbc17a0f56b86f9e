"""How long a checkpoint holds up training, in steps: the default recipe at 64 px, on two threads.

The default interval is 250 steps; here the saves come every 20, each after the one before has been written.
"""

import time
from pathlib import Path

import numpy as np
from harness import Figure, at_most, in_child

STEPS, EVERY_STEPS = 120, 20


def measure(folder: Path) -> list[Figure]:
    step_s, save_s, size_mb = in_child(saves, folder).value
    return [
        Figure("a step, median", 1e3 * step_s, "ms"),
        Figure("a checkpoint", size_mb, "MB"),
        Figure("training stands still for a checkpoint, median", 1e3 * float(np.median(save_s)), "ms"),
        at_most("the same", float(np.median(save_s)) / step_s, "steps", 1),
        Figure("the longest of them", max(save_s) / step_s, "steps"),
    ]


def saves(folder: Path) -> tuple[float, list[float], float]:
    """Seconds of a step, seconds of each save until training goes on, and what a checkpoint weighs."""
    import torch
    import training_loops as training

    from components.training.checkpointing import Checkpointing
    from components.training.config import Execution

    torch.set_num_threads(2)
    held_up: list[float] = []
    save = Checkpointing.save

    def timed(self: Checkpointing, *arguments: object) -> None:
        started = time.perf_counter()
        save(self, *arguments)  # type: ignore[arg-type]
        held_up.append(time.perf_counter() - started)

    Checkpointing.save = timed  # type: ignore[method-assign]
    shape, execution = training.TINY, Execution("cpu", checkpoint_every_steps=EVERY_STEPS)
    turn = training.InTurn({}, 1, lambda: None)
    store, denoiser = training.planted_store(shape, 2000), training.new_denoiser(shape, execution)
    training.ours(denoiser, shape, store, execution, STEPS, folder, [turn], with_checkpoints=True)
    files = [file for file in (folder / "checkpoints").rglob("*.safetensors")]
    folders = {file.parent for file in files}
    size_mb = sum(file.stat().st_size for file in files) / max(1, len(folders)) / 1e6
    return training.median_step_s(turn, "ours", 1), held_up[:-1], size_mb  # the last step saves nothing
