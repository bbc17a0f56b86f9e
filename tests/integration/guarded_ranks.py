"""What one of two processes does in `test_guards_in_ranks.py`; its findings go to a JSON file. Not a test itself.

Only the second process has the trouble: a bad loss, a bad gradient, a signal. Both must end alike.
"""

import json
import logging
import os
import signal
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning import Callback, Trainer
from tiny_training import tiny_denoiser, tiny_store

from components.data.buckets import Bucket
from components.launch.local import MEETING
from components.models.autoencoder import build_autoencoder
from components.models.config import AutoencoderConfig
from components.objectives.flow_matching import flow_matching_terms
from components.objectives.outcome import Outcome
from components.paths.config import TimestepDensity
from components.training.batches import BatchSource, condition_of
from components.training.callbacks import Every
from components.training.config import BatchConfig, Execution, GridConfig, HeldOutConfig, OptimiserConfig
from components.training.grids import draw_samples
from components.training.guarding import Guard
from components.training.held_out import fix_problems, held_out_losses
from components.training.meeting import serve_meeting
from components.training.module import DiffusionModule
from components.training.preemption import StopRequest
from components.training.strategies import spread
from components.training.watchdog import StepClock
from flows.process import die_with_parent

TROUBLES = ("none", "loss", "gradient", "signal")
BUCKET = Bucket(32, 32)
DENSITY = TimestepDensity("logit_normal", 0.0, 1.0, 2.0)
GRID = GridConfig(1, (), num_sampling_steps=2, guidance_scale=2.0, shift=1.5, seed=0)
HELD_OUT = HeldOutConfig(every_images=1, rows_per_split=5, seed=3)


def shaken_denoiser() -> Any:
    """The tiny network with other weights than those of a new one, which says zero."""
    denoiser = tiny_denoiser()
    with torch.no_grad():
        for weight in denoiser.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    return denoiser


def look_at(denoiser: Any) -> dict[str, Any]:
    """Held-out losses (five rows of training, two of the others: no even shares) and three samples' bytes."""
    store = tiny_store()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        autoencoder = build_autoencoder(AutoencoderConfig(2, (4, 4, 8, 8), 1, 2)).eval()
    conditions = (condition_of(store, torch.tensor(texts).numpy()) for texts in ([1, 2, 3], [0]))
    images_u8 = draw_samples(denoiser, autoencoder, *conditions, latent_side=2, config=GRID)
    problems = fix_problems({BUCKET: store}, HELD_OUT, ("short",))
    return {"losses": held_out_losses(denoiser, problems, 2), "images": images_u8.ravel().tolist()}


def trained(folder: Path, trouble: str, strategy: str) -> dict[str, Any]:
    """How a training of four steps ended, and at which image; the second step has the trouble."""
    rank, denoiser, stop = int(os.environ["RANK"]), tiny_denoiser(), StopRequest()

    def objective(model: Any, batch: Any) -> Outcome:
        terms = flow_matching_terms(model, batch.condition, batch.x_0, DENSITY, batch.generators)
        is_now = rank == 1 and 12 <= batch.start < 24
        if is_now and trouble == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        factor = float("nan") if is_now and trouble == "loss" else 1.0
        return Outcome({name: value * factor for name, value in terms.items()})

    def spoil(layer: Any, inputs: Any, output: Any) -> None:
        if trouble == "gradient" and rank == 1 and module.step == 1 and output.requires_grad:
            output.register_hook(lambda gradient: gradient * float("inf"))

    denoiser.transformer.layers[1].register_forward_hook(spoil)
    execution = Execution("cpu", devices=2, strategy=strategy, micro_batch=3)
    module = DiffusionModule(
        denoiser,
        objective,
        BatchSource({BUCKET: tiny_store()}, BatchConfig(12, {"short": 1.0}, 0.1), seed=0),
        OptimiserConfig(1e-3, (0.9, 0.99), 0.01, 1.0, 0, 0.0, "linear"),
        execution,
        precision="32-true",
        batch_size=12,
        num_steps=4,
        ema_decay=0.9,
    )
    saved: list[int] = []
    looks: dict[str, Any] = {}
    callbacks: list[Callback] = [Guard(folder, stop, lambda trainer, module: saved.append(module.images_seen))]
    if trouble == "none":

        def look(network: Any, seen: int, weights: str) -> None:
            looks[f"{weights} {seen}"] = look_at(network)["losses"]

        callbacks.append(Every(10**6, look, StepClock()))
    trainer = Trainer(
        max_steps=4,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=callbacks,
        **spread(execution, "32-true", 12, 1.0).arguments,
    )
    ended = "complete"
    with stop.listening():
        try:
            trainer.fit(module)
        except Exception as error:
            ended = f"{type(error).__name__}: {error}"
    return {"ended": ended, "images_seen": module.images_seen, "saved": saved, "looks": looks}


def main(folder: Path, strategies: list[str]) -> None:
    """Meet the other process, go through all troubles under each strategy, and leave what happened."""
    die_with_parent()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    if MEETING in os.environ:
        serve_meeting(int(os.environ[MEETING]), int(os.environ["MASTER_PORT"]), 2)
    dist.init_process_group("gloo", timeout=timedelta(minutes=3))
    found: dict[str, Any] = {"look": look_at(shaken_denoiser())}
    for strategy in strategies:
        found[strategy] = {trouble: trained(folder / strategy / trouble, trouble, strategy) for trouble in TROUBLES}
    (folder / f"found-{dist.get_rank()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
