"""What happens beside the training steps: numbers, held-out losses and sample grids, all over images seen."""

import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
from jaxtyping import UInt8
from lightning import Callback, LightningModule, Trainer

from components.models.denoiser import Denoiser
from components.training.batches import Batch
from components.training.held_out import HeldOutSplit, held_out_losses
from components.training.module import DiffusionModule
from components.training.reporting import Report

LOG_EVERY_STEPS = 10


class LogSteps(Callback):
    """Reports the objective's terms, the learning rate and the speed every few steps, and the progress at each."""

    def __init__(self, report: Report, num_images: int) -> None:
        self._report = report
        self._num_images = num_images
        self._last = (time.perf_counter(), 0)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Report the step that just ended."""
        module = as_diffusion(pl_module)
        if trainer.global_step % LOG_EVERY_STEPS:
            return
        now, seen = time.perf_counter(), module.images_seen
        speed = (seen - self._last[1]) / (now - self._last[0])
        self._last = (now, seen)
        numbers = {f"train/{name}": float(value) for name, value in module.terms.items()}
        numbers["train/learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        numbers["train/images_per_s"] = speed
        self._report.log_metrics(numbers, seen)
        self._report.progress(seen, self._num_images, loss=numbers["train/loss"])


class Every(Callback):
    """Calls `look` with the averaged network at the start, each time `every_images` more were seen, and at the end."""

    def __init__(self, every_images: int, look: Callable[[Denoiser, int], None]) -> None:
        self._every_images = every_images
        self._look = look
        self._next = 0
        self._averaged: Denoiser | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look once before the first step."""
        self._maybe_look(as_diffusion(pl_module), is_last=False)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Look if it is time."""
        is_last = trainer.global_step == trainer.max_steps
        self._maybe_look(as_diffusion(pl_module), is_last=is_last)

    def _maybe_look(self, module: DiffusionModule, *, is_last: bool) -> None:
        if not is_last and module.images_seen < self._next:
            return
        self._next = module.images_seen + self._every_images
        if self._averaged is None:
            self._averaged = deepcopy(module.denoiser).requires_grad_(False).eval()
        module.average.copy_to(self._averaged)
        self._look(self._averaged, module.images_seen)


def report_held_out(report: Report, problems: list[HeldOutSplit], latest: dict[str, float]) -> Callable[..., None]:
    """A look that reports the held-out losses and leaves them in `latest`."""

    def look(averaged: Denoiser, images_seen: int) -> None:
        latest.clear()
        latest.update(held_out_losses(averaged, problems))
        report.log_metrics({f"held_out/{name}": value for name, value in latest.items()}, images_seen)

    return look


def report_grid(
    report: Report, draw: Callable[[Denoiser], UInt8[np.ndarray, "h w 3"]], save: Callable[[np.ndarray, int], None]
) -> Callable[..., None]:
    """A look that draws a sample grid, reports and saves it."""

    def look(averaged: Denoiser, images_seen: int) -> None:
        grid_u8 = draw(averaged)
        report.log_image("samples", grid_u8, images_seen)
        save(grid_u8, images_seen)

    return look


def as_diffusion(module: LightningModule) -> DiffusionModule:
    """The module as our own kind; these callbacks serve no other."""
    if not isinstance(module, DiffusionModule):
        raise TypeError(f"expected a DiffusionModule, got {type(module).__name__}")
    return module
