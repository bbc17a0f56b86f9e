"""The time of a training step: our `fit` beside a bare loop, and beside one written as diffusers' example scripts are.

The default recipe at 64 px, batches of 32, float32, two threads. All in one process, 20 steps each in turn; ratios are
medians over the turns. Checkpoints are saved in every second of our turns, more often than by default, so that what one
costs in all, its writer's work beside the steps included, is seen above the noise; and counted per 250 steps.
"""

from pathlib import Path

import numpy as np
from harness import Figure, at_least, at_most, in_child

STEPS, TURNS = 20, 31
THREADS = 2


def measure(folder: Path) -> list[Figure]:
    alone = in_child(loops, folder / "alone").value
    saving = in_child(loops_with_checkpoints, folder / "saving").value
    by_script = alone["script"] / alone["ours"]
    return [
        Figure("bare loop", 1e3 * alone["bare"], "ms/step"),
        Figure("ours", 1e3 * alone["ours"], "ms/step"),
        Figure("as diffusers' scripts", 1e3 * alone["script"], "ms/step"),
        Figure("the same, texts padded to the data's longest", 1e3 * alone["short script"], "ms/step"),
        at_most("ours over the bare loop", 100 * (alone["over bare"] - 1), "% more", 3),
        at_most("the same with checkpoints every 250 steps", 100 * (saving["over bare"] - 1), "% more", 3),
        at_least("ours over diffusers' scripts", alone["under script"], "times the samples/s", 1.3),
        Figure("the same, texts padded to the data's longest", alone["under short script"], "times the samples/s"),
        Figure("one look at the held-out loss (384 rows), in steps", alone["look"], "steps"),
    ]


def loops(folder: Path) -> dict[str, float]:
    """Seconds of a step by loop, and the ratios."""
    import torch
    import training_loops as training

    from components.training.config import Execution

    torch.set_num_threads(THREADS)
    shape, execution = training.TINY, Execution("cpu")
    store = training.planted_store(shape, 2000)

    def new() -> training.Denoiser:
        return training.new_denoiser(shape, execution)

    others = {
        "bare": training.BareLoop(new(), shape, store, execution).step,
        "script": training.ScriptLoop(new(), shape, store, training.SCRIPT_TEXT_TOKENS).step,
        "short script": training.ScriptLoop(new(), shape, store, shape.text_tokens[1]).step,
    }
    turn = training.InTurn(others, STEPS, lambda: None)
    denoiser = new()
    training.ours(denoiser, shape, store, execution, STEPS * TURNS, folder, [turn])
    seconds = {name: training.median_step_s(turn, name, STEPS) for name in turn.seconds}
    return {
        **seconds,
        "over bare": training.median_ratio(turn, "ours", "bare"),
        "under script": training.median_ratio(turn, "script", "ours"),
        "under short script": training.median_ratio(turn, "short script", "ours"),
        "look": look_s(denoiser, store) / seconds["ours"],
    }


def look_s(denoiser: object, store: object) -> float:
    """Seconds of a held-out loss of 3 splits of 128 rows, with one kind of weights; the median of five."""
    import time

    from components.training.config import HeldOutConfig
    from components.training.held_out import fix_problems, held_out_losses
    from components.data.buckets import Bucket

    problems = fix_problems({Bucket(64, 64): store}, HeldOutConfig(9600, 384, 0), "short")  # type: ignore[dict-item]
    times: list[float] = []
    for _ in range(5):
        started = time.perf_counter()
        held_out_losses(denoiser, problems)  # type: ignore[arg-type]
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def loops_with_checkpoints(folder: Path) -> dict[str, float]:
    """The ratio to the bare loop with one checkpoint in 250 steps."""
    import torch
    import training_loops as training

    from components.training.config import Execution

    torch.set_num_threads(THREADS)
    shape, execution = training.TINY, Execution("cpu", checkpoint_every_steps=2 * STEPS)
    store = training.planted_store(shape, 2000)
    bare = training.BareLoop(training.new_denoiser(shape, execution), shape, store, execution)
    turn = training.InTurn({"bare": bare.step}, STEPS, lambda: None)
    denoiser = training.new_denoiser(shape, execution)
    training.ours(denoiser, shape, store, execution, STEPS * 2 * TURNS, folder, [turn], with_checkpoints=True)
    # Looks come before the checkpoint: it falls into the turn after the step that it is of, the second, fourth, ...
    without, with_one = (training.median_ratio(turn, "ours", "bare", slice(start, None, 2)) for start in (0, 1))
    return {"over bare": without + (with_one - without) * STEPS / Execution("cpu").checkpoint_every_steps}
