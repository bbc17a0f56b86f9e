"""Trains the image autoencoder, once: what comes out is pinned as data, as the recipe reuses a finished one.

The decoder sees latents with more noise than the posterior has (Yang et al. 2025, arXiv:2507.15856, who call it
latent denoising), so that the small errors of a generated latent do not show. Images come as uint8 squares of one
size; each step draws one of the resolutions and shrinks its batch to it by averaging areas.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from components.models.autoencoder import (
    build_autoencoder,
    decode,
    decode_latents,
    encode_latents,
    encode_moments,
    patchify,
    set_statistics,
)
from components.models.config import AutoencoderConfig
from components.objectives.reconstruction import coarse_term, halve, reconstruction_terms, weighted_total
from components.training.config import AutoencoderTraining, ResolutionShare
from components.training.encoding import to_images

Pixels = UInt8[np.ndarray, "n side side 3"]


@dataclass(frozen=True)
class AutoencoderStep:
    """What one training step reports: the terms, their weighted sum under "total", and the position in the run."""

    step: int
    images_seen: int
    seconds: float
    terms: dict[str, float]


def train(
    model: AutoencoderConfig,
    training: AutoencoderTraining,
    pixels_u8: Pixels,
    report: Callable[[AutoencoderStep, AutoencoderKLFlux2], None],
) -> AutoencoderKLFlux2:
    """The trained autoencoder, in evaluation mode, its statistics taken over all of `pixels_u8`.

    A pure function of its arguments on one machine: seeds come from `training.seed`. `report` is called after each
    step. Raises FloatingPointError before the update when the loss is not finite.
    """
    with torch.random.fork_rng():
        torch.manual_seed(training.seed)
        autoencoder = build_autoencoder(model).train()
    # On CPU float32 with channels last is the fastest: bf16 costs more in conversions than its products save.
    autoencoder.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] -- torch's stub lacks it
    generator = torch.Generator().manual_seed(training.seed)
    optimiser = torch.optim.AdamW(
        autoencoder.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, betas=(0.9, 0.99)
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, training))
    images_seen, start = 0, time.perf_counter()
    for step in range(1, training.steps + 1):
        images = draw_batch(pixels_u8, training.resolutions, generator)
        terms = _forward(autoencoder, images, training.latent_noise, generator)
        total = weighted_total(terms, training.weights)
        if not torch.isfinite(total):
            raise FloatingPointError(
                f"the autoencoder's loss is {float(total.detach())} at step {step}; nothing was updated"
            )
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(autoencoder.parameters(), training.gradient_clip)
        optimiser.step()
        schedule.step()
        images_seen += len(images)
        numbers = {name: float(value.detach()) for name, value in {**terms, "total": total}.items()}
        report(AutoencoderStep(step, images_seen, time.perf_counter() - start, numbers), autoencoder)
    autoencoder.eval()
    measure_statistics(autoencoder, pixels_u8, tuple(r.side_px for r in training.resolutions))
    return autoencoder.requires_grad_(False)


def _forward(
    autoencoder: AutoencoderKLFlux2, images: Float[Tensor, "b 3 h w"], noise: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """The objective's terms for one batch; half of a batch of 64 px or more also goes through the coarse term."""
    mean, log_variance = encode_moments(autoencoder, images)
    extra = noise * torch.rand(len(images), 1, 1, 1, generator=generator)
    std = torch.sqrt(log_variance.exp() + extra.square())
    latents = mean + std * torch.randn(mean.shape, generator=generator)
    terms = reconstruction_terms(images, decode(autoencoder, latents), mean, log_variance)
    if images.shape[-1] >= 64:
        part = slice(0, max(1, len(images) // 2))
        terms |= coarse_term(images[part], decode(autoencoder, halve(latents[part])))
    return terms


def learning_rate_factor(step: int, training: AutoencoderTraining) -> float:
    """Linear from 0 to 1 over the warm-up, then half a cosine that reaches 0 after the last step."""
    if step < training.warmup_steps:
        return (step + 1) / training.warmup_steps
    progress = (step - training.warmup_steps) / max(1, training.steps - training.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def draw_batch(
    pixels_u8: Pixels, resolutions: tuple[ResolutionShare, ...], generator: torch.Generator
) -> Float[Tensor, "b 3 small small"]:
    """A random batch at a random resolution, half of it mirrored, in [-1, 1]."""
    shares = torch.tensor([r.share for r in resolutions])
    chosen = resolutions[int(torch.multinomial(shares, 1, generator=generator))]
    rows = torch.randint(len(pixels_u8), (chosen.batch_size,), generator=generator)
    images = shrink(pixels_u8[rows.numpy()], chosen.side_px)
    is_mirrored = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    return torch.where(is_mirrored, images.flip(-1), images)


def shrink(pixels_u8: Pixels, side_px: int) -> Float[Tensor, "n 3 small small"]:
    """Images in [-1, 1] at `side_px`, each pixel the mean of the area it covers; never enlarges."""
    if side_px > pixels_u8.shape[1]:
        raise ValueError(f"cannot shrink images of {pixels_u8.shape[1]} px to {side_px} px")
    images = functional.interpolate(to_images(pixels_u8), size=(side_px, side_px), mode="area")
    return images.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def measure_statistics(autoencoder: AutoencoderKLFlux2, pixels_u8: Pixels, sides_px: tuple[int, ...]) -> None:
    """Set the batch norm to the mean and variance of the packed latents; every resolution weighs the same."""
    moments = torch.stack([_moments(autoencoder, pixels_u8, side) for side in sides_px]).mean(dim=0)
    set_statistics(autoencoder, moments[0], moments[1] - moments[0].square())


def _moments(autoencoder: AutoencoderKLFlux2, pixels_u8: Pixels, side_px: int) -> Float[Tensor, "2 c"]:
    """First and second moment of each packed channel, in float64."""
    total = torch.zeros(2, autoencoder.bn.num_features, dtype=torch.float64)
    for start in range(0, len(pixels_u8), 128):
        images = shrink(pixels_u8[start : start + 128], side_px)
        packed = patchify(encode_moments(autoencoder, images)[0]).double()
        weight = len(images) / len(pixels_u8)
        total += weight * torch.stack([m.mean(dim=(0, 2, 3)) for m in (packed, packed.square())])
    return total


def reconstruction_psnr_db(autoencoder: AutoencoderKLFlux2, pixels_u8: Pixels, side_px: int) -> float:
    """Mean over images of the peak signal-to-noise ratio of encode-then-decode, in dB; higher is better."""
    ratios: list[Tensor] = []
    for start in range(0, len(pixels_u8), 128):
        images = shrink(pixels_u8[start : start + 128], side_px)
        error = decode_latents(autoencoder, encode_latents(autoencoder, images)) - images
        ratios.append(10 * torch.log10(4 / error.square().mean(dim=(1, 2, 3))))
    return float(torch.cat(ratios).mean())


def scaled(training: AutoencoderTraining, steps: int) -> AutoencoderTraining:
    """The same settings for a run of `steps` steps: for trials before the long run."""
    return replace(training, steps=steps, warmup_steps=min(training.warmup_steps, max(1, steps // 10)))
