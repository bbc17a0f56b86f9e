"""What every process of a training does in `test_strategies.py`; the first one leaves what came out. Not a test itself.

whole       ten steps without a break
continued   the same, ended in the sixth step by an error in every process, and continued from the checkpoint
moved       only the rest of such a run, which other processes (another number of them) had begun
dpo         ten steps on preferred pairs against a frozen copy, watched on held-out pairs
distill     fifteen steps, in turns of a student and of the fake model, with a committee; also `distill-continued`
adversarial the same with a head that tells real pictures from the student's
"""

import os
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from tiny_distillation import ADVERSARIAL, DISTILL, DOMAINS, save_committee, tiny_distilled
from tiny_losses import ANCHORED
from tiny_pairs import pair_store, pair_table
from tiny_training import tiny_denoiser, tiny_store

from components.data.buckets import Bucket
from components.data.latents import EMPTY_TEXT
from components.objectives.flow_matching import flow_matching_terms
from components.objectives.outcome import Outcome
from components.paths.config import TimestepDensity
from components.training.batches import BatchSource
from components.training.callbacks import compiled_graphs
from components.training.checkpoint_store import CheckpointStore
from components.training.config import BatchConfig, Execution, OptimiserConfig, WatchConfig
from components.training.distill_config import DistillConfig
from components.training.distillation import DistillationModule, DistillationObjective
from components.training.fit import Fitted, Surroundings, fit, prepare
from components.training.module import DiffusionModule
from components.training.pair_batches import PairSource, rows_of_pairs
from components.training.preference_training import PreferenceObjective, Reference
from components.training.preference_watch import PreferenceWatch, fix_pair_problems
from components.training.strategies import Numbers, spread
from components.training.watch import Watching
from flows.process import die_with_parent

DENSITY = TimestepDensity("logit_normal", 0.0, 1.0, 2.0)
OPTIMISER = OptimiserConfig(3e-3, (0.9, 0.99), 0.01, 1.0, 2, 0.3, "linear")
BATCH = BatchConfig(8, {"short": 1.0}, 0.1)
LOSS = replace(ANCHORED, winner_preserving=0.5)


class BrokenError(Exception):
    """The end of an attempt."""


class Curve:
    """A report that keeps the losses."""

    def __init__(self) -> None:
        self.losses: dict[int, float] = {}

    def log_metrics(self, metrics: Any, step: int = 0) -> None:
        if "train/loss" in metrics:
            self.losses[step] = metrics["train/loss"]

    def log_image(self, key: str, image_u8: Any, step: int = 0) -> None: ...

    def progress(self, done: int, total: int, **fields: Any) -> None: ...


def trained(
    execution: Execution, precision: Numbers, folder: Path, checkpoints: CheckpointStore | None, break_at: int = -1
) -> tuple[Fitted, Curve]:
    """Ten steps; `break_at` ends them with an error instead, in that step."""
    denoiser, curve = tiny_denoiser(), Curve()
    prepare(denoiser, execution)

    def objective(model: Any, batch: Any) -> Outcome:
        return Outcome(flow_matching_terms(model, batch.condition, batch.x_0, DENSITY, batch.generators))

    module = DiffusionModule(
        denoiser,
        Breaking(objective, break_at),
        BatchSource({Bucket(32, 32): tiny_store()}, BATCH, seed=0),
        OPTIMISER,
        execution,
        precision=precision,
        batch_size=8,
        num_steps=10,
        ema_decay=0.9,
    )
    how = spread(execution, precision, 8, OPTIMISER.gradient_clip)
    surroundings = Surroundings(curve, folder / "incidents", checkpoints)
    return fit(module, how, execution, surroundings, lambda clock: []), curve


def preferred(execution: Execution, precision: Numbers, folder: Path) -> tuple[Fitted, Curve]:
    """Ten steps on pairs; of the curve, the steps that begin a look have the margin on held-out pairs instead."""
    denoiser, curve, buckets, pairs = tiny_denoiser(), Curve(), {Bucket(32, 32): pair_store()}, pair_table()
    reference = Reference(denoiser)
    prepare(denoiser, execution)
    module = DiffusionModule(
        denoiser,
        PreferenceObjective(reference, DENSITY, LOSS),
        PairSource(buckets, pairs, batch_size=8, caption_dropout_frac=0.1, in_order=True, seed=0),
        OPTIMISER,
        execution,
        precision=precision,
        batch_size=8,
        num_steps=10,
        ema_decay=0.9,
    )
    watch = PreferenceWatch(
        fix_pair_problems(buckets, rows_of_pairs(buckets, pairs, "heldout", 1), 3, 0),
        reference,
        lambda _: {},
        (),
        WatchConfig(every_images=40, visits=3, max_error_rise=9.0, max_quality_fall=9.0, patience=0, seed=0),
        curve,
        None,
        4,
    )
    how = spread(execution, precision, 8, OPTIMISER.gradient_clip)
    surroundings = Surroundings(curve, folder / "incidents", None)
    fitted = fit(module, how, execution, surroundings, lambda clock: [Watching(watch, 40, clock)])
    curve.losses |= {look["images_seen"]: look["margin"] for look in watch.looks if look["images_seen"]}
    return fitted, curve


class Breaking:
    """An objective that ends with an error in a step of batches of 8."""

    def __init__(self, objective: Any, break_at: int) -> None:
        self._objective, self._break_at = objective, break_at

    def __call__(self, model: Any, batch: Any) -> Outcome:
        if batch.start // 8 == self._break_at:
            raise BrokenError
        return self._objective(model, batch)


def distilled(
    execution: Execution,
    precision: Numbers,
    folder: Path,
    checkpoints: CheckpointStore | None,
    break_at: int = -1,
    settings: DistillConfig = DISTILL,
) -> tuple[Fitted, Curve]:
    """All turns of a distillation with a student of full weights and a fake model of adapters."""
    committee, store, curve = folder / f"committee-{os.environ.get('RANK', '0')}", tiny_store(), Curve()
    config = replace(settings, batch=BATCH, precision=precision)
    has_head = settings.adversarial is not None
    student = tiny_distilled(committee, save_committee(committee), has_head=has_head)
    prepare(student, execution)
    objective = DistillationObjective(config, DOMAINS, torch.from_numpy(store.texts.of(EMPTY_TEXT)).float())
    source = BatchSource({Bucket(32, 32): store}, BATCH, seed=0)
    module = DistillationModule(student, cast(Any, Breaking(objective, break_at)), source, config, execution)
    how = spread(execution, precision, 8, config.student_optimiser.gradient_clip, takes_turns=True)
    surroundings = Surroundings(curve, folder / "incidents", checkpoints)
    return fit(module, how, execution, surroundings, lambda clock: []), curve


def leave(folder: Path, name: str, fitted: Fitted, curve: Curve) -> None:
    """Write the result, from one process."""
    if os.environ.get("RANK", "0") == "0":
        losses = torch.tensor([curve.losses.get(8 * step, float("nan")) for step in range(1, 11)], dtype=torch.float64)
        raw = {f"raw/{key}": value for key, value in fitted.raw.items()}
        averaged = {f"averaged/{key}": value for key, value in fitted.averaged.items()}
        graphs = torch.tensor([compiled_graphs()])
        save_file({"losses": losses, "graphs": graphs, **raw, **averaged}, folder / f"{name}.safetensors")


def checkpoints_of(what: str) -> str:
    """The folder of a kind of training's checkpoints: what is moved goes on with what was continued."""
    return "distill-checkpoints" if what.startswith("distill") else "checkpoints"


def wait_for(store: CheckpointStore) -> None:
    """Return when the checkpoint of the third step is whole: an error does not wait for what is being written."""
    deadline = time.monotonic() + 120
    while store.latest() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def main(folder: Path, tasks: list[str]) -> None:
    """Do the tasks `strategy/precision/micro batch/what` one after another, each strategy in a folder of its own."""
    die_with_parent()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    sys.modules["components.training.callbacks"].__dict__["LOG_EVERY_STEPS"] = 1
    for task in tasks:
        strategy, precision, micro_batch, what = task.split("/")
        own = folder / f"{strategy}-{precision}-{micro_batch}"
        own.mkdir(parents=True, exist_ok=True)
        execution: Any = Execution(
            "cpu",
            devices=int(os.environ.get("WORLD_SIZE", "1")),
            strategy=strategy,  # pyright: ignore[reportArgumentType] - a word of the command line
            micro_batch=int(micro_batch),
            checkpoint_every_steps=3,
            compile=what == "compiled",
        )
        run: Any = precision
        if what in ("whole", "compiled"):
            leave(own, what, *trained(execution, run, own, None))
            continue
        if what == "dpo":
            leave(own, what, *preferred(execution, run, own))
            continue
        if what == "adversarial":
            leave(own, what, *distilled(execution, run, own, None, settings=ADVERSARIAL))
            continue
        train = distilled if what.startswith("distill") else trained
        store = None if what == "distill" else CheckpointStore(own / checkpoints_of(what), {"run": "tiny"})
        if what.endswith("continued"):
            try:
                train(execution, run, own, store, break_at=5)
                raise AssertionError("the training was to be ended by an error")
            except BrokenError:
                wait_for(store)
        leave(own, what, *train(execution, run, own, store))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
