"""The one LightningModule: an objective, its logs, an average of the weights. No maths of any loss."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from lightning import LightningModule
from torch import Tensor

from components.models.denoiser import Denoiser
from components.models.ema import WeightAverage
from components.training.batches import Batch
from components.training.config import OptimiserConfig
from components.training.schedule import build_optimiser, learning_rate_factor

Objective = Callable[[Denoiser, Batch], dict[str, Float[Tensor, ""]]]


class NonFiniteLossError(FloatingPointError):
    """The loss became infinite or undefined; the weights are those of the last good update."""


class DiffusionModule(LightningModule):
    """Trains `denoiser` on the sum of what `objective` returns, and keeps the average of its weights."""

    def __init__(
        self, denoiser: Denoiser, objective: Objective, optimiser: OptimiserConfig, *, num_steps: int, ema_decay: float
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.average = WeightAverage(denoiser, ema_decay)
        self.images_seen = 0
        self.terms: dict[str, Tensor] = {}
        self._images_in = 0
        self._objective = objective
        self._optimiser = optimiser
        self._num_steps = num_steps

    def training_step(self, batch: Batch, batch_idx: int) -> Float[Tensor, ""]:
        """The objective's total for one batch; raises before the update if it is not finite."""
        terms = self._objective(self.denoiser, batch)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            named = {name: float(value.detach()) for name, value in terms.items()}
            raise NonFiniteLossError(
                f"the loss is {float(loss.detach())} after {self.images_seen} images ({named}); lower the learning rate"
            )
        self._images_in = batch.start + len(batch.rows)
        self.terms = {name: value.detach() for name, value in {**terms, "loss": loss}.items()}
        return loss

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Update the weights, then take them into the average, before any callback looks at either."""
        super().optimizer_step(*args, **kwargs)
        self.average.update(self.denoiser)
        self.images_seen = self._images_in

    def configure_optimizers(self) -> Any:
        """AdamW and its learning rate, step by step."""
        optimiser = build_optimiser(self.denoiser, self._optimiser)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: learning_rate_factor(step, self._num_steps, self._optimiser)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """The batch on `device`."""
        return batch.to(device)
