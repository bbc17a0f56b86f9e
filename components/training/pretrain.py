"""Training of the transformer by flow matching at one resolution: from batches to weights and their average."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2, ErnieImageTransformer2DModel
from jaxtyping import UInt8
from torch import Tensor

from components.data.buckets import Bucket
from components.data.latents import LatentStore
from components.models.config import DiTConfig, LoraShape
from components.models.cost import forward_flops, training_flops
from components.models.denoiser import Denoiser, pad_states
from components.models.initial import load_initial
from components.models.lora import add_lora, merge_lora
from components.models.text_encoder import TextEncoder
from components.models.transformer import build_transformer
from components.objectives.flow_matching import flow_matching_terms
from components.objectives.outcome import Outcome
from components.paths.config import TimestepDensity
from components.training.batches import Batch, BatchSource
from components.training.callbacks import Every, HeldOutLosses, report_grid, report_held_out
from components.training.config import Execution, GridConfig, PretrainConfig, PriorConfig
from components.training.fit import Surroundings, fit, prepare
from components.training.grids import draw_grid, draw_samples
from components.training.held_out import MAX_BATCH, HeldOutSplit, fix_problems, main_kind
from components.training.mixed_batches import MixedSource
from components.training.module import DiffusionModule
from components.training.sft import sft_problems, sft_source
from components.training.strategies import spread

AVERAGED = "transformer"
RAW = "raw"
LORA = "lora"
HELD_OUT_BEFORE = "held_out_before.json"
Draw = Callable[[Denoiser], UInt8[np.ndarray, "h w 3"]]
SaveGrid = Callable[[UInt8[np.ndarray, "h w 3"], int], None]


@dataclass(frozen=True)
class Pretrained:
    """The trained weights, their average, and what is worth keeping about how they came about.

    Held-out losses are those of the average, `held_out_before` before the first step. `consumed` tells which samples
    entered the weights: the positions start to stop - 1 of the source's order. `facts` are what else should be known.
    """

    raw: dict[str, Tensor]
    averaged: dict[str, Tensor]
    images_seen: int
    images_per_s: float
    final_loss: float
    held_out: dict[str, float]
    consumed: dict[str, str | int]
    held_out_before: dict[str, float] = field(default_factory=dict[str, float])
    facts: Mapping[str, object] = field(default_factory=dict[str, object])


def pretrain(
    buckets: Mapping[Bucket, LatentStore],
    denoiser: Denoiser,
    autoencoder: AutoencoderKLFlux2,
    config: PretrainConfig,
    execution: Execution,
    surroundings: Surroundings,
    save_grid: SaveGrid,
) -> Pretrained:
    """Train `denoiser` in place on `config.num_images` draws from one resolution's buckets.

    Times, noise, batches and captions depend on the stores' content and `config.seed` only. Raises as `fit` does.
    """
    source = BatchSource(buckets, config.batch, seed=config.seed)
    problems = fix_problems(buckets, config.held_out, (main_kind(config.batch.caption_weights),))
    draw = grid_drawer(autoencoder, latent_side(buckets), config.grid)
    flops = flops_per_image(denoiser, buckets)
    return train_flow_matching(source, problems, draw, denoiser, config, execution, surroundings, save_grid, flops)


def fine_tune(
    curated: Mapping[Bucket, LatentStore],
    earlier: Mapping[Bucket, LatentStore],
    denoiser: Denoiser,
    autoencoder: AutoencoderKLFlux2,
    config: PretrainConfig,
    prior: PriorConfig,
    execution: Execution,
    surroundings: Surroundings,
    save_grid: SaveGrid,
) -> Pretrained:
    """Train `denoiser` in place on `config.num_images` draws: `prior.frac` of the steps on `earlier` images.

    The rest is on curated ones. What it depends on and raises: as `pretrain`.
    """
    source = sft_source(curated, earlier, config.batch, prior, seed=config.seed)
    problems = sft_problems(curated, earlier, config.held_out, config.batch, prior)
    draw = grid_drawer(autoencoder, latent_side(curated), config.grid)
    parts = ((curated, 1 - prior.frac), (earlier, prior.frac))
    flops = sum(share * flops_per_image(denoiser, buckets) for buckets, share in parts)
    return train_flow_matching(source, problems, draw, denoiser, config, execution, surroundings, save_grid, flops)


def train_flow_matching(
    source: BatchSource | MixedSource,
    problems: list[HeldOutSplit],
    draw: Draw,
    denoiser: Denoiser,
    config: PretrainConfig,
    execution: Execution,
    surroundings: Surroundings,
    save_grid: SaveGrid,
    flops: float,
) -> Pretrained:
    """Train `denoiser` in place on the first `config.num_images` of `source`; now and then measure and draw.

    `flops` are the operations of one image. Raises as `fit` does.
    """
    how = spread(execution, config.precision, config.batch.batch_size, config.optimiser.gradient_clip)
    prepare(denoiser, execution)
    module = DiffusionModule(
        denoiser,
        lambda model, batch: objective(model, batch, config.timesteps),
        source,
        config.optimiser,
        execution,
        precision=config.precision,
        batch_size=config.batch.batch_size,
        num_steps=config.num_steps,
        ema_decay=config.ema_decay,
    )
    checkpoints = surroundings.checkpoints
    held_out = HeldOutLosses(checkpoints.directory / HELD_OUT_BEFORE if checkpoints else None)
    report, max_batch = surroundings.report, execution.micro_batch or MAX_BATCH
    trained = fit(
        module,
        how,
        execution,
        surroundings,
        lambda clock: [
            Every(config.held_out.every_images, report_held_out(report, problems, held_out, max_batch), clock),
            Every(config.grid.every_images, report_grid(report, draw, save_grid), clock),
        ],
        flops_per_image=flops,
    )
    return Pretrained(
        raw=trained.raw,
        averaged=trained.averaged,
        images_seen=module.images_seen,
        images_per_s=trained.images_per_s,
        final_loss=trained.final_loss,
        held_out=held_out.latest,
        held_out_before=held_out.start,
        consumed=source.consumed(module.images_seen),
    )


def objective(model: Denoiser, batch: Batch, density: TimestepDensity) -> Outcome:
    """Flow matching on one batch, with the samples' own random numbers."""
    return Outcome(flow_matching_terms(model, batch.condition, batch.x_0, density, batch.generators))


def flops_per_image(denoiser: Denoiser, buckets: Mapping[Bucket, LatentStore]) -> float:
    """Operations that training on one image needs, of the mean size and with the longest text: no recomputation."""
    config = denoiser.transformer.config
    shape = DiTConfig(
        hidden_size=config["hidden_size"],
        num_layers=config["num_layers"],
        num_attention_heads=config["num_attention_heads"],
        ffn_hidden_size=config["ffn_hidden_size"],
        rope_axes_dim=tuple(config["rope_axes_dim"]),
        rope_theta=config["rope_theta"],
    )
    stores = list(buckets.values())
    tokens = [store.latents.shape[2] * store.latents.shape[3] for store in stores]
    image_tokens = round(float(np.average(tokens, weights=[store.latents.shape[0] for store in stores])))
    text_tokens = int(np.diff(stores[0].texts.offsets).max())
    forward = forward_flops(shape, config["in_channels"], config["text_in_dim"], image_tokens, text_tokens)
    return training_flops(forward, recompute=False)


def start_network(
    config: DiTConfig, in_channels: int, text_in_dim: int, init: Path | None, lora: LoraShape | None, seed: int
) -> Denoiser:
    """A new network from `seed`, or the weights in `init`; with adapters to train, if there is a `lora`.

    Raises:
        InitialWeightsError: what lies in `init` does not fit.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if init is None:
            network = build_transformer(config, in_channels, text_in_dim)
        else:
            network = load_initial(init, config, in_channels, text_in_dim)
        if lora is not None:
            add_lora(network, lora)
    return Denoiser(network)


def latent_side(buckets: Mapping[Bucket, LatentStore]) -> int:
    """The side of the square that grids are drawn at: the longest that the buckets have."""
    return max(store.latents.shape[-1] for store in buckets.values())


def grid_drawer(autoencoder: AutoencoderKLFlux2, latent_side: int, config: GridConfig) -> Draw:
    """A function that draws the prompts of `config` with a network; the prompts are encoded once, here."""
    encoder = TextEncoder.load()
    condition = pad_states(encoder(config.prompts))
    uncondition = pad_states(encoder([""]))

    def draw(denoiser: Denoiser) -> UInt8[np.ndarray, "h w 3"]:
        move: Any = autoencoder.to  # annotated as a property
        samples = draw_samples(
            denoiser, move(next(denoiser.parameters()).device), condition, uncondition, latent_side, config
        )
        return draw_grid(samples, config.prompts)

    return draw


def save_pretrained(
    directory: Path,
    trained: Pretrained,
    shape: Mapping[str, Any],
    lora: LoraShape | None,
    facts: Mapping[str, object],
) -> None:
    """Write average and raw weights in diffusers' layout, safetensors only, and `training.json`.

    `shape` are the transformer's own arguments. Adapters are merged into the weights, and those of the average also
    saved alone. No times are written: a model made twice from the same inputs is the same bytes.
    """
    for name, weights in ((AVERAGED, trained.averaged), (RAW, trained.raw)):
        network = network_of(shape, weights, lora)
        if lora is not None:
            merge_lora(network, directory / LORA if name == AVERAGED else None)
        network.save_pretrained(directory / name, safe_serialization=True)
    record = {
        **facts,
        **trained.facts,
        "images_seen": trained.images_seen,
        "consumed": trained.consumed,
        "final_loss": trained.final_loss,
        "held_out_loss": trained.held_out,
        "held_out_loss_before": trained.held_out_before,
    }
    (directory / "training.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def network_of(
    shape: Mapping[str, Any], weights: Mapping[str, Tensor], lora: LoraShape | None
) -> ErnieImageTransformer2DModel:
    """A transformer of that configuration (and with such adapters) that holds a denoiser's `weights` themselves."""
    with torch.device("meta"):
        network = ErnieImageTransformer2DModel(**shape)
        if lora is not None:
            add_lora(network, lora)
    Denoiser(network).load_state_dict(weights, assign=True)
    return network.eval()
