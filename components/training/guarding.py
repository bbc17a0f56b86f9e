"""The guards as callbacks: before each update all processes agree that it may be done, after it whether to go on."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from components.training.batches import Batch
from components.training.callbacks import as_diffusion
from components.training.guards import NonFiniteError, Votes, cast_votes, describe, groups_not_finite
from components.training.incidents import write_incident
from components.training.module import DiffusionModule
from components.training.preemption import PreemptedError, StopRequest
from components.training.ranks import place
from components.training.reporting import Report
from components.training.spikes import LossSpikeError, SpikeDetector
from components.training.watchdog import StepClock, Watchdog


class Guard(Callback):
    """Stops before an update whose loss or gradient is not finite, and after one that was asked to be the last.

    One sum of five numbers over the processes per step says both. `incidents` is where the batches of a refused update
    are named; `save` writes a checkpoint before training ends on request.

    Under DeepSpeed its own check of the reduced gradients is asked, which is as early: `engine.step` comes after.
    """

    def __init__(self, incidents: Path, stop: StopRequest, save: Callable[[Trainer, DiffusionModule], None]) -> None:
        self._incidents, self._stop, self._save = incidents, stop, save
        self._batches: list[dict[str, Any]] = []
        self.votes: Votes | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals back from Lightning."""
        self._stop.listen_again()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Remember what the running step is made of, but not its tensors."""
        self._batches.append(facts_of(batch))

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Agree on the update; raises NonFiniteError in every process if it must not be done."""
        module = as_diffusion(pl_module)
        if len(module.parts) < module.accumulate:  # DeepSpeed is asked at every micro-batch
            return
        engine = engine_of(trainer)
        if engine is None:
            norm = module.gradient_norm
        else:
            norm = torch.tensor(float("inf") if engine.optimizer.has_overflow() else 0.0)
        self.votes = cast_votes([part["loss"] for part in module.parts], norm, must_stop=self._stop.is_asked)
        if self.votes.num_bad_losses or self.votes.num_bad_gradients:
            self._refuse(module, self.votes, engine)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Forget the step that is done; after a request to stop, save and raise PreemptedError in every process."""
        module = as_diffusion(pl_module)
        if module.parts:  # in the middle of a step
            return
        self._batches.clear()
        if self.votes and self.votes.num_stops and module.images_seen < module.num_images:
            self._save(trainer, module)
            raise PreemptedError(module.images_seen)

    def incident(self, kind: str, module: DiffusionModule, facts: Mapping[str, Any]) -> Path:
        """Write down an incident with what the running step is made of."""
        return write_incident(self._incidents, kind, module.images_seen, {**facts, "batches": self._batches})

    def _refuse(self, module: DiffusionModule, votes: Votes, engine: Any | None) -> None:
        groups = groups_not_finite(gradients_of(module, engine)) if votes.num_bad_gradients else []
        terms = {name: float(torch.stack([part[name] for part in module.parts]).mean()) for name in module.parts[0]}
        facts = {
            "terms": {name: str(value) for name, value in terms.items()},  # JSON has no NaN
            "groups": groups,
            "processes_with_bad_loss": votes.num_bad_losses,
            "processes_with_bad_gradient": votes.num_bad_gradients,
        }
        file = self.incident("not-finite", module, facts)
        raise NonFiniteError(describe(votes, terms, groups, module.images_seen, file))


class WatchLoss(Callback):
    """Reports `guard/loss_spike` and writes an incident when the loss of all processes jumps; placed after its guard.

    With `stops`, `detector.patience` successive spikes raise LossSpikeError before the last one's update.
    """

    def __init__(self, guard: Guard, detector: SpikeDetector, report: Report, *, stops: bool) -> None:
        self._guard, self._blank, self._report, self._stops = guard, detector, report, stops
        self._detectors: dict[str, SpikeDetector] = {}

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Judge the step's loss."""
        module = as_diffusion(pl_module)
        if len(module.parts) < module.accumulate or self._guard.votes is None:
            return
        loss = self._guard.votes.loss
        # Losses of networks that take turns are not comparable: each has a detector.
        detector = self._detectors.setdefault(module.turn, deepcopy(self._blank))
        score = detector.observe(loss)
        if score is None:
            return
        file = self._guard.incident("loss-spike", module, {"loss": loss, "score": score})
        if place()[0] == 0:
            self._report.log_metrics({"guard/loss_spike": score}, module.images_seen)
        if self._stops and detector.successive >= detector.patience:
            raise LossSpikeError(
                f"the loss was far above its recent values {detector.successive} steps in a row, now {loss:.4g} "
                f"after {module.images_seen} images; {file} names the images; lower the learning rate"
            )


class Heartbeat(Callback):
    """Tells the clock, and whoever watches it, that a micro-batch is done."""

    def __init__(self, clock: StepClock, watchdog: Watchdog | None = None) -> None:
        self._clock, self._watchdog = clock, watchdog

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Beat."""
        self._clock.step()
        if self._watchdog is not None:
            self._watchdog.images_seen = as_diffusion(pl_module).images_seen


def facts_of(batch: Batch) -> dict[str, Any]:
    """Which samples and texts a batch holds, and the seeds that their times and noise came from, as JSON values."""
    return {
        "start": batch.start,
        "bucket": str(batch.bucket),
        "sample_ids": list(batch.sample_ids),
        "texts": batch.texts.tolist(),
        "seeds": [generator.initial_seed() for generator in batch.generators],
    }


def engine_of(trainer: Trainer) -> Any | None:
    """DeepSpeed's engine, if it is DeepSpeed that trains with ZeRO."""
    model: Any = trainer.strategy.model
    return model if hasattr(getattr(model, "optimizer", None), "has_overflow") else None


def gradients_of(module: DiffusionModule, engine: Any | None) -> dict[str, torch.Tensor | None]:
    """All gradients by the weights' names; DeepSpeed's are gathered, one after another."""
    weights = {name: weight for name, weight in module.denoiser.named_parameters() if weight.requires_grad}
    if engine is None:
        return {name: weight.grad for name, weight in weights.items()}
    from deepspeed.utils import safe_get_full_grad

    return {name: safe_get_full_grad(weight) for name, weight in weights.items()}
