"""The time of a training step: our `fit` beside a bare loop, and beside one written as diffusers' example scripts are.

The default recipe at 64 px, batches of 32, float32, two threads. All in one process, a few steps each in turn; ratios
are medians over the turns. Every second of our turns begins with a checkpoint, far more often than by default, so that
what one costs in all (its writer's work beside the steps included) is seen above noise; it is counted per 250 steps.
"""

from pathlib import Path

from harness import Figure, at_least, at_most, in_child

STEPS, TURNS, SCRIPT_TURNS = 5, 41, 10
THREADS = 2


def measure(folder: Path) -> list[Figure]:
    beside = in_child(beside_bare, folder / "bare").value
    script = in_child(beside_scripts, folder / "scripts").value
    to_longest = "the same, with texts padded to the data's longest only"
    return [
        Figure("bare loop", 1e3 * beside["bare"], "ms/step"),
        Figure("ours", 1e3 * beside["ours"], "ms/step"),
        at_most("ours over the bare loop", 100 * (beside["ratio"] - 1), "% more", 3),
        at_most("the same with checkpoints every 250 steps", 100 * (beside["ratio with checkpoints"] - 1), "% more", 3),
        Figure("as diffusers' scripts (in a run of their own)", 1e3 * script["script"], "ms/step"),
        at_least("ours over diffusers' scripts", script["script ratio"], "times the samples/s", 1.3),
        Figure(to_longest, script["short ratio"], "times the samples/s"),
    ]


def beside_bare(folder: Path) -> dict[str, float]:
    """Seconds of a step, and ours over the bare loop's, without checkpoints and with one in 250 steps."""
    import torch
    import training_loops as training

    from components.training.config import Execution

    torch.set_num_threads(THREADS)
    shape, execution = training.TINY, Execution("cpu", checkpoint_every_steps=2 * STEPS)
    store = training.planted_store(shape, 2000)
    bare = training.BareLoop(training.new_denoiser(shape, execution), shape, store, execution)
    turn = training.InTurn({"bare": bare.step}, STEPS, lambda: None)
    denoiser = training.new_denoiser(shape, execution)
    training.ours(denoiser, shape, store, execution, STEPS * TURNS, folder, [turn], with_checkpoints=True)
    # Looks come before the checkpoint of the same step: it falls into the turn after, which is every second.
    without, with_one = (training.median_ratio(turn, "ours", "bare", slice(start, None, 2)) for start in (0, 1))
    return {
        **{name: training.median_step_s(turn, name, STEPS) for name in turn.seconds},
        "ratio": without,
        "ratio with checkpoints": without + (with_one - without) * STEPS / Execution("cpu").checkpoint_every_steps,
    }


def beside_scripts(folder: Path) -> dict[str, float]:
    """Seconds of a step of the scripts' loop, and how many times ours they are, padded their way and only as needed."""
    import torch
    import training_loops as training

    from components.training.config import Execution

    torch.set_num_threads(THREADS)
    shape, execution = training.TINY, Execution("cpu")
    store = training.planted_store(shape, 2000)
    lengths = {"script": training.SCRIPT_TEXT_TOKENS, "short": shape.text_tokens[1]}
    others = {
        name: training.ScriptLoop(training.new_denoiser(shape, execution), shape, store, length).step
        for name, length in lengths.items()
    }
    turn = training.InTurn(others, STEPS, lambda: None)
    denoiser = training.new_denoiser(shape, execution)
    training.ours(denoiser, shape, store, execution, STEPS * SCRIPT_TURNS, folder, [turn])
    ratios = {f"{name} ratio": training.median_ratio(turn, name, "ours") for name in lengths}
    return ratios | {"script": training.median_step_s(turn, "script", STEPS)}
