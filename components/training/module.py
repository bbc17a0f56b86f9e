"""The one LightningModule: an objective, its logs, an average of the weights. No maths of any loss.

It counts in images seen. The learning rate and the data are functions of that number, so a training continues from any
of its steps without remembering more than weights, their average and the optimiser's moments.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from lightning import LightningModule
from torch import Tensor

from components.models.denoiser import Denoiser
from components.models.ema import WeightAverage
from components.objectives.outcome import Outcome
from components.training.batches import Batch
from components.training.config import Execution, OptimiserConfig
from components.training.guards import NonFiniteError, gradient_norm
from components.training.prefetch import prefetched
from components.training.ranks import mean_terms
from components.training.schedule import build_optimiser, learning_rate_factor
from components.training.strategies import Numbers, shard
from components.training.weights import masters, swapped

BATCHES_AHEAD = 2
Objective = Callable[[Denoiser, Batch], Outcome]
"""An objective may also be `Adaptive`."""


@runtime_checkable
class Adaptive(Protocol):
    """An objective that changes with what it has measured; its state is kept in checkpoints."""

    state: dict[str, float]

    def observe(self, measures: dict[str, float]) -> None:
        """Take in an update's measures, which are means over its whole batch, and change `state`."""
        ...


@runtime_checkable
class Source(Protocol):
    """Where batches come from: any step's, without the steps before it."""

    def slices(
        self, start_step: int, num_steps: int, *, rank: int, world_size: int, accumulate: int
    ) -> Iterator[Batch]:
        """One process's micro-batches of `num_steps` steps, in order."""
        ...


class DiffusionModule(LightningModule):
    """Trains `denoiser` on the sum of what `objective` returns, and keeps the average of its weights.

    `step` may be set before the data are asked for, by whoever restores a checkpoint. Who ends training before the
    planned number of steps says why in `ended_early`.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        objective: Objective,
        source: Source,
        optimiser: OptimiserConfig,
        execution: Execution,
        *,
        precision: Numbers,
        batch_size: int,
        num_steps: int,
        ema_decay: float,
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.average = WeightAverage({}, ema_decay)
        self.batch_size, self.num_steps = batch_size, num_steps
        self.step = 0
        self.gradient_norm = torch.zeros(())
        self.terms: dict[str, Tensor] = {}
        self.batch: Batch | None = None
        self.has_stepped = False
        self.ended_early = ""
        self.parts: list[dict[str, Tensor]] = []
        self.objective, self.source = objective, source
        self._batches: Generator[Batch] | None = None
        self._optimiser, self._execution = optimiser, execution
        self._numbers: Numbers = precision
        self.accumulate = execution.accumulate(batch_size)

    @property
    def images_seen(self) -> int:
        """Images that have entered the weights."""
        return self.step * self.batch_size

    @property
    def num_images(self) -> int:
        """Images of the whole training."""
        return self.num_steps * self.batch_size

    def configure_model(self) -> None:
        """Shard the network where FSDP does."""
        if self._execution.strategy == "fsdp2":
            mesh: Any = self.device_mesh
            shard(self.denoiser, mesh["data_parallel"], self._numbers)

    def on_fit_start(self) -> None:
        """Begin the average with the weights as they are now."""
        if not self.average.weights:
            self.average = WeightAverage(masters(self.denoiser), self.average.decay)

    def train_dataloader(self) -> Iterator[Batch]:
        """This process's micro-batches from the present step on, prepared beside the steps."""
        mine = self.source.slices(
            self.step,
            self.num_steps - self.step,
            rank=self.global_rank,
            world_size=self._execution.world_size,
            accumulate=self.accumulate,
        )
        self._batches = prefetched(mine, BATCHES_AHEAD)
        return self._batches

    def stop_preparing(self) -> None:
        """End the thread that prepares batches; whoever has the module trained calls this, however training ended."""
        if self._batches is not None:
            self._batches.close()

    def training_step(self, batch: Batch, batch_idx: int) -> Float[Tensor, ""]:
        """The objective's total for one micro-batch; whether it is finite is judged before the update, by a guard."""
        self.batch, self.has_stepped = batch, False
        outcome = self.objective(self.denoiser, batch)
        loss = outcome.total
        told = {**outcome.terms, **outcome.measures, "loss": loss}
        self.parts.append({name: value.detach() for name, value in told.items()})
        # Lightning divides by the number of micro-batches, and DeepSpeed does so once more.
        return loss * self.accumulate if self._is_zero else loss

    def on_after_backward(self) -> None:
        """Measure the gradient before anyone judges it; DeepSpeed does it itself, while it updates."""
        if not self._is_zero and len(self.parts) == self.accumulate:
            self.gradient_norm = gradient_norm(self.denoiser.parameters())

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Clip the gradient; DeepSpeed does it itself."""
        if not self._is_zero:
            weights = [weight for weight in self.denoiser.parameters() if weight.grad is not None]
            torch.nn.utils.clip_grads_with_norm_(weights, self._optimiser.gradient_clip, self.gradient_norm)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Update the weights and take them into the average, before any callback looks at either."""
        self.set_rates(self.trainer.optimizers[0].param_groups)
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if len(self.parts) < self.accumulate:  # DeepSpeed is called for every micro-batch and counts for itself
            return
        # What an earlier step told and this one does not is kept: where networks take turns, so do their terms.
        self.terms |= {name: torch.stack([part[name] for part in self.parts]).mean() for name in self.parts[0]}
        self.parts.clear()
        if self._is_zero:
            self._check_applied()
        if isinstance(self.objective, Adaptive):
            self.objective.observe(mean_terms(self.terms))
        if self.updates_average:
            self.average.update(masters(self.denoiser))
        self.step += 1
        self.has_stepped = True

    @property
    def turn(self) -> str:
        """Which of several networks the running step updates; "" where there is one."""
        return ""

    @property
    def updates_average(self) -> bool:
        """Whether the running step changes the weights that are averaged."""
        return True

    def set_rates(self, groups: Sequence[dict[str, Any]]) -> None:
        """Give the optimiser's groups their learning rate for the running step."""
        rate = self._optimiser.learning_rate * learning_rate_factor(self.step, self.num_steps, self._optimiser)
        for group in groups:
            group["lr"] = rate

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; its learning rate is set at each step."""
        return build_optimiser(self.denoiser, self._optimiser)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """The batch on `device`."""
        return batch.to(device)

    @contextmanager
    def averaged_weights(self) -> Generator[Denoiser]:
        """The network with the average as its weights, in place and for the block only; called by every process."""
        with swapped(self.denoiser, self.average.weights):
            yield self.denoiser

    def end(self, reason: str) -> None:
        """Let the running step be the last; every process must say so at the same step."""
        self.ended_early = reason
        self.trainer.should_stop = True

    @property
    def _is_zero(self) -> bool:
        return self._execution.strategy.startswith("zero")

    def _check_applied(self) -> None:
        engine: Any = self.trainer.strategy.model
        self.gradient_norm = torch.as_tensor(engine.get_global_grad_norm() or 0.0)
        forget_gradients(engine)
        if not engine.was_step_applied():
            raise NonFiniteError(f"the gradient is not finite after {self.images_seen} images; no weight changed")


def forget_gradients(engine: Any) -> None:
    """Clear what ZeRO-3 keeps of gradients: of weights without a new one it would count the old one into the norm."""
    buffer = getattr(engine.optimizer, "grad_partitions_flat_buffer", None)
    if buffer is not None:
        buffer.zero_()
