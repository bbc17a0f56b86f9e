"""One training from its first (or next) step to its last: Lightning's loop with everything that stands around it.

Every objective's training goes through `fit`: pre-training, tuning, preference, distillation.
"""

import logging
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lightning import Callback, LightningModule, Trainer
from lightning.fabric.utilities.warnings import PossibleUserWarning
from torch import Tensor

from components.models.denoiser import Denoiser
from components.training.callbacks import LogSteps, as_diffusion
from components.training.checkpoint_store import CheckpointStore
from components.training.checkpointing import Checkpointing
from components.training.config import Execution
from components.training.consumed import CONSUMED, KeepConsumed
from components.training.guarding import Guard, Heartbeat, WatchLoss
from components.training.guards import check_complete
from components.training.module import DiffusionModule
from components.training.preemption import StopRequest
from components.training.ranks import mean_terms
from components.training.reporting import Report
from components.training.spikes import SpikeDetector
from components.training.strategies import Spread
from components.training.watchdog import StepClock, Watchdog
from components.training.weights import full_weights


@dataclass(frozen=True)
class Surroundings:
    """What a training is given by whoever runs it; nothing here changes its result.

    Args:
        report: where numbers and pictures go.
        incidents: the folder for what goes wrong.
        checkpoints: where to continue from and to; None keeps nothing.
        give_up: is told why, when the process is about to end because no step came.
    """

    report: Report
    incidents: Path
    checkpoints: CheckpointStore | None = None
    give_up: Callable[[str], None] = lambda message: None


@dataclass(frozen=True)
class Fitted:
    """The weights by name, whole and float32 (raw, and their average), the last loss, and the time of this attempt."""

    raw: dict[str, Tensor]
    averaged: dict[str, Tensor]
    final_loss: float
    images_per_s: float


def fit(
    module: DiffusionModule,
    spread: Spread,
    execution: Execution,
    surroundings: Surroundings,
    looks: Callable[[StepClock], Sequence[Callback]],
    *,
    flops_per_image: float | None = None,
) -> Fitted:
    """Train `module` to its planned number of images, from the latest checkpoint if there is one.

    `looks` makes the callbacks that look at the network now and then. Every process of the training calls this.

    Raises:
        NonFiniteError: before the update, when a loss or gradient is not finite.
        PreemptedError: after a checkpoint, when the process was asked to stop.
        IncompleteTrainingError: training ended early for any other reason.
        CheckpointMismatchError, CheckpointStrategyError: the checkpoint is of another run, or unreadable for this one.
    """
    clock, stop, start = StepClock(), StopRequest(), time.perf_counter()
    watchdog = Watchdog(clock, surroundings.incidents, surroundings.give_up)
    checkpointing = Checkpointing(surroundings.checkpoints, execution, clock) if surroundings.checkpoints else None
    guard = Guard(surroundings.incidents, stop, checkpointing.save if checkpointing else lambda trainer, module: None)
    result = _Result(clock)
    module.denoiser.compute_in(spread.compute_dtype)
    speed = LogSteps(surroundings.report, clock, flops_per_image=flops_per_image, peak_tflops=execution.peak_tflops)
    # Looks come before what may end the training or save it: one that continues from there does not look again.
    callbacks = [
        Heartbeat(clock, watchdog),
        speed,
        *looks(clock),
        *([_record(surroundings.checkpoints, execution)] if surroundings.checkpoints else []),
        guard,
        WatchLoss(guard, SpikeDetector(), surroundings.report, stops=False),
        *([checkpointing] if checkpointing else []),
        result,
    ]
    with ExitStack() as around:
        around.enter_context(quiet_lightning())
        around.enter_context(stop.listening())
        around.callback(module.stop_preparing)
        trainer = Trainer(
            **spread.arguments,
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            callbacks=callbacks,
        )
        around.enter_context(watchdog.watching())
        trainer.fit(module)
    if not module.ended_early:
        check_complete(module.images_seen, module.num_images)
    images_per_s = (module.images_seen - result.images_before) / (time.perf_counter() - start)
    return Fitted(result.raw, result.averaged, result.final_loss, images_per_s)


def _record(checkpoints: CheckpointStore, execution: Execution) -> KeepConsumed:
    return KeepConsumed(checkpoints.directory / CONSUMED, execution.checkpoint_every_steps)


class _Result(Callback):
    """Takes the weights out of the processes at the end, while these can still talk to each other."""

    def __init__(self, clock: StepClock) -> None:
        self._clock = clock
        self.raw: dict[str, Tensor] = {}
        self.averaged: dict[str, Tensor] = {}
        self.final_loss = float("nan")
        self.images_before = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember where this attempt began."""
        self.images_before = as_diffusion(pl_module).images_seen

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather."""
        module = as_diffusion(pl_module)
        if module.terms:  # none where a training continues that had been ended
            self.final_loss = mean_terms(module.terms)["loss"]
        with self._clock.paused():
            self.raw = full_weights(module.denoiser)
            with module.averaged_weights():
                self.averaged = full_weights(module.denoiser)


def prepare(denoiser: Denoiser, execution: Execution) -> None:
    """Switch on what saves memory or time without changing what is computed, beyond rounding."""
    if execution.activation_checkpointing:
        denoiser.checkpoint_activations()
    if execution.compile:
        # The blocks are alike, so that one of them is compiled once and serves all.
        denoiser.transformer.compile_repeated_blocks(fullgraph=True)


@contextmanager
def quiet_lightning() -> Generator[None]:
    """Without Lightning's notes on hardware it did not find and products it could be used with.

    It also finds it strange that the data bring no worker processes, and asks torch's trees in a way torch is leaving.
    """
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=PossibleUserWarning)
            warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)
