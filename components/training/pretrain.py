"""Pre-training of the transformer on encoded images at one resolution: from a store to weights and their average."""

import json
import logging
import time
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2
from jaxtyping import Float, UInt8
from lightning import Trainer
from lightning.fabric.utilities.warnings import PossibleUserWarning

from components.data.buckets import STRIDE_PX, Bucket
from components.data.latents import LatentStore
from components.models.config import DiTConfig
from components.models.denoiser import Denoiser, pad_states
from components.models.text_encoder import TextEncoder
from components.models.transformer import build_transformer, load_transformer
from components.objectives.flow_matching import flow_matching_terms
from components.paths.config import TimestepDensity
from components.training.batches import Batch, BatchSource
from components.training.callbacks import Every, LogSteps, report_grid, report_held_out
from components.training.config import GridConfig, PretrainConfig
from components.training.grids import draw_grid, draw_samples
from components.training.held_out import fix_problems
from components.training.module import DiffusionModule
from components.training.reporting import Report

AVERAGED = "transformer"
RAW = "raw"


@dataclass(frozen=True)
class Pretrained:
    """The trained network, its average, and what is worth keeping about how it came about."""

    raw: Denoiser
    averaged: Denoiser
    images_seen: int
    seconds: float
    final_loss: float
    held_out: dict[str, float]


def pretrain(
    store: LatentStore,
    denoiser: Denoiser,
    autoencoder: AutoencoderKLFlux2,
    config: PretrainConfig,
    report: Report,
    save_grid: Callable[[UInt8[np.ndarray, "h w 3"], int], None],
    accelerator: str,
) -> Pretrained:
    """Train `denoiser` in place on `config.num_images` draws from the store.

    `accelerator` is Lightning's name of the hardware. Times, noise, batches and captions depend on the store's content
    and `config.seed` only. Raises NonFiniteLossError, before the update, when the loss is not finite.
    """
    module = DiffusionModule(
        denoiser,
        lambda model, batch: objective(model, batch, config.timesteps),
        config.optimiser,
        num_steps=config.num_steps,
        ema_decay=config.ema_decay,
    )
    held_out: dict[str, float] = {}
    kind = max(config.batch.caption_weights, key=lambda name: config.batch.caption_weights[name])
    draw = grid_drawer(autoencoder, store.latents.shape[-1], config.grid)
    bucket = Bucket(*(STRIDE_PX * side for side in store.latents.shape[2:]))
    problems = fix_problems({bucket: store}, config.held_out, kind)
    source = BatchSource({bucket: store}, config.batch, seed=config.seed)
    start = time.perf_counter()
    with _quiet_lightning():
        trainer = Trainer(
            accelerator=accelerator,
            precision=config.precision,
            max_steps=config.num_steps,
            max_epochs=1,
            gradient_clip_val=config.optimiser.gradient_clip,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[
                LogSteps(report, config.num_images),
                Every(config.held_out.every_images, report_held_out(report, problems, held_out)),
                Every(config.grid.every_images, report_grid(report, draw, save_grid)),
            ],
        )
        trainer.fit(module, train_dataloaders=source.slices(0, config.num_steps))
    seconds = time.perf_counter() - start
    averaged = deepcopy(denoiser)
    module.average.copy_to(averaged)
    return Pretrained(denoiser, averaged, module.images_seen, seconds, float(module.terms["loss"]), held_out)


@contextmanager
def _quiet_lightning() -> Generator[None]:
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


def objective(model: Denoiser, batch: Batch, density: TimestepDensity) -> dict[str, Float[torch.Tensor, ""]]:
    """Flow matching on one batch, with the batch's own random numbers."""
    return flow_matching_terms(model, batch.condition, batch.x_0, density, batch.generators)


def start_network(config: DiTConfig, in_channels: int, text_in_dim: int, init: Path | None, seed: int) -> Denoiser:
    """A new network from `seed`, or the average that an earlier phase left in `init`; ValueError if shapes differ."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = build_transformer(config, in_channels, text_in_dim)
    if init is None:
        return Denoiser(fresh)
    loaded = load_transformer(init / AVERAGED)
    wanted, found = (json.loads(network.to_json_string()) for network in (fresh, loaded))
    if different := sorted(name for name in wanted if name[0] != "_" and wanted[name] != found.get(name)):
        raise ValueError(f"{init}: its {', '.join(different)} differ from this stage's `model`; make them equal")
    return Denoiser(loaded.train())


def grid_drawer(
    autoencoder: AutoencoderKLFlux2, latent_side: int, config: GridConfig
) -> Callable[[Denoiser], UInt8[np.ndarray, "h w 3"]]:
    """A function that draws the prompts of `config` with a network; the prompts are encoded once, here."""
    encoder = TextEncoder.load()
    condition = pad_states(encoder(config.prompts))
    uncondition = pad_states(encoder([""]))

    def draw(denoiser: Denoiser) -> UInt8[np.ndarray, "h w 3"]:
        samples = draw_samples(denoiser, autoencoder, condition, uncondition, latent_side, config)
        return draw_grid(samples, config.prompts)

    return draw


def save_pretrained(directory: Path, trained: Pretrained, facts: Mapping[str, object]) -> None:
    """Write average and raw weights in diffusers' layout, safetensors only, and `training.json`.

    No times are written: a model made twice from the same inputs is the same bytes.
    """
    trained.averaged.transformer.save_pretrained(directory / AVERAGED, safe_serialization=True)
    trained.raw.transformer.save_pretrained(directory / RAW, safe_serialization=True)
    record = {
        **facts,
        "images_seen": trained.images_seen,
        "final_loss": trained.final_loss,
        "held_out_loss": trained.held_out,
    }
    (directory / "training.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
