"""What happens beside the training steps: numbers, held-out losses and sample grids, all over images seen.

Every process takes part in what needs the weights; only the first one reports.
"""

import json
import resource
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from lightning import Callback, LightningModule, Trainer

from components.models.denoiser import Denoiser
from components.training.batches import Batch
from components.training.checkpoint_files import write_flushed
from components.training.held_out import MAX_BATCH, HeldOutSplit, held_out_losses
from components.training.module import DiffusionModule
from components.training.ranks import mean_terms, place
from components.training.reporting import Report
from components.training.watchdog import StepClock
from components.training.weights import reshard

LOG_EVERY_STEPS = 10
Weights = Literal["averaged", "raw"]
Look = Callable[[Denoiser, int, Weights], None]
"""Looks at the network with these weights after so many images."""
_ENDINGS: dict[Weights, str] = {"averaged": "", "raw": "_raw"}


class LogSteps(Callback):
    """Reports the objective's terms, the gradient's norm, the learning rate, speed and memory every few steps.

    `clock` stands still while other things than training run. `flops_per_image` counts forward and backward pass;
    with `peak_tflops` of one device it gives the model FLOPs utilisation.
    """

    def __init__(
        self,
        report: Report,
        clock: StepClock,
        *,
        flops_per_image: float | None = None,
        peak_tflops: float | None = None,
    ) -> None:
        self._report, self._clock = report, clock
        self._flops_per_image, self._peak_tflops = flops_per_image, peak_tflops
        self._first = self._last = (0.0, 0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to measure."""
        self._first = self._last = (self._clock.training_s, as_diffusion(pl_module).images_seen)

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
        seen = module.images_seen
        if seen == self._last[1] or module.step % LOG_EVERY_STEPS:
            return
        terms = mean_terms(module.terms)
        if place()[0] == 0:
            now = self._clock.training_s
            speed, mean_speed = (_speed(since, (now, seen)) for since in (self._last, self._first))
            numbers = {f"train/{name}": value for name, value in terms.items()}
            numbers["train/gradient_norm"] = float(module.gradient_norm)
            numbers["train/learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
            numbers["train/images_per_s"] = speed
            numbers["train/memory_gb"] = memory_gb(module.device)
            if graphs := compiled_graphs():
                numbers["train/compiled_graphs"] = graphs
            if self._flops_per_image and self._peak_tflops:
                peak = self._peak_tflops * 1e12 * place()[1]
                numbers["train/mfu"] = speed * self._flops_per_image / peak
            self._report.log_metrics(numbers, seen)
            self._report.progress(seen, module.num_images, loss=numbers["train/loss"], images_per_s=mean_speed)
        self._last = (self._clock.training_s, seen)


def _speed(since: tuple[float, int], until: tuple[float, int]) -> float:
    """Images per second between two readings of (seconds, images)."""
    return (until[1] - since[1]) / max(until[0] - since[0], 1e-9)


def memory_gb(device: torch.device) -> float:
    """The most that this process has used so far, in GB: of the GPU's memory, or of the host's on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def compiled_graphs() -> int:
    """How many graphs this process has compiled so far: it should stop rising after the first steps."""
    counters = torch._dynamo.utils.counters  # pyright: ignore[reportPrivateUsage] - torch tells it nowhere else
    return int(counters["stats"]["unique_graphs"])


class Every(Callback):
    """Looks at the start, at each multiple of `every_images` (or the step that passes it), and at the end.

    It looks at the network with averaged weights, then with raw ones, in the precision of training; `clock` stands
    still meanwhile. When it looks depends on the images seen only: a training that continues does not look again.
    """

    def __init__(
        self, every_images: int, look: Look, clock: StepClock, weights: Sequence[Weights] = ("averaged", "raw")
    ) -> None:
        self._every_images, self._look, self._clock, self._weights = every_images, look, clock, weights
        self._last = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look once before the first step."""
        module = as_diffusion(pl_module)
        self._last = module.images_seen
        if module.images_seen == 0:
            self._look_at(trainer, module)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Look if it is time."""
        module = as_diffusion(pl_module)
        seen, last = module.images_seen, self._last
        self._last = seen
        if seen > last and (seen // self._every_images > last // self._every_images or seen >= module.num_images):
            self._look_at(trainer, module)

    def _look_at(self, trainer: Trainer, module: DiffusionModule) -> None:
        was_training = module.denoiser.training
        module.denoiser.eval()
        try:
            with self._clock.paused():
                for weights in self._weights:
                    averaged = module.averaged_weights() if weights == "averaged" else nullcontext()
                    with averaged, trainer.precision_plugin.forward_context():
                        self._look(module.denoiser, module.images_seen, weights)
                reshard(module.denoiser)
        finally:
            module.denoiser.train(was_training)


class HeldOutLosses:
    """Held-out losses of the averaged weights at the start and at the latest look.

    Those of the start are also in `file`, if there is one: a training that continues does not look at it again.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.latest: dict[str, float] = {}
        self.start: dict[str, float] = json.loads(file.read_text("utf-8")) if file and file.is_file() else {}

    def take(self, losses: dict[str, float], images_seen: int) -> None:
        """Remember a look; only the first process writes."""
        self.latest = losses
        if images_seen == 0:
            self.start = losses
            if self._file and place()[0] == 0:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                write_flushed(self._file, json.dumps(losses))


def report_held_out(
    report: Report, problems: list[HeldOutSplit], losses: HeldOutLosses, max_batch: int = MAX_BATCH
) -> Look:
    """A look that reports the held-out losses and leaves those of the averaged weights in `losses`."""

    def look(denoiser: Denoiser, images_seen: int, weights: Weights) -> None:
        found = held_out_losses(denoiser, problems, max_batch)
        if weights == "averaged":
            losses.take(found, images_seen)
        if place()[0] == 0:
            report.log_metrics({f"held_out{_ENDINGS[weights]}/{k}": v for k, v in found.items()}, images_seen)

    return look


def report_grid(
    report: Report, draw: Callable[[Denoiser], UInt8[np.ndarray, "h w 3"]], save: Callable[[np.ndarray, int], None]
) -> Look:
    """A look that draws a sample grid and reports it; the averaged weights' is saved too."""

    def look(denoiser: Denoiser, images_seen: int, weights: Weights) -> None:
        grid_u8 = draw(denoiser)
        if place()[0] == 0:
            report.log_image(f"samples{_ENDINGS[weights]}", grid_u8, images_seen)
            if weights == "averaged":
                save(grid_u8, images_seen)

    return look


def as_diffusion(module: LightningModule) -> DiffusionModule:
    """The module as our own kind; these callbacks serve no other."""
    if not isinstance(module, DiffusionModule):
        raise TypeError(f"expected a DiffusionModule, got {type(module).__name__}")
    return module
