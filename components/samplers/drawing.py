"""Images of many prompts in batches, from texts that are encoded already."""

from collections.abc import Callable, Generator, Sequence

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from components.models.autoencoder import decode_latents
from components.models.denoiser import TextCondition, pad_states, repeated
from components.samplers.config import SamplingConfig
from components.samplers.guidance import guided_velocity
from components.samplers.solvers import euler
from components.samplers.time_grid import shifted_time_grid


@torch.no_grad()
def draw_latents(
    denoiser: Callable[[Tensor, Tensor, TextCondition], Tensor],
    texts: Sequence[Float[Tensor, "_ d"]],
    empty_text: Float[Tensor, "_ d"],
    noise: Float[Tensor, "n c h w"],
    *,
    config: SamplingConfig,
    shift: float,
) -> Generator[Float[Tensor, "b c h w"]]:
    """One latent per text from its own noise, batch by batch, so that none depends on the batch (beyond rounding)."""
    grid = shifted_time_grid(config.num_sampling_steps, shift)
    for start in range(0, len(texts), config.batch_size):
        part = texts[start : start + config.batch_size]
        uncondition = repeated(pad_states([empty_text]), len(part))
        velocity = guided_velocity(denoiser, pad_states(part), uncondition, config.guidance_scale)
        yield euler(velocity, noise[start : start + len(part)], grid)


def draw_images(
    denoiser: Callable[[Tensor, Tensor, TextCondition], Tensor],
    autoencoder: AutoencoderKLFlux2,
    texts: Sequence[Float[Tensor, "_ d"]],
    empty_text: Float[Tensor, "_ d"],
    noise: Float[Tensor, "n c h w"],
    *,
    config: SamplingConfig,
    shift: float,
    on_batch: Callable[[int], None] = lambda done: None,
) -> UInt8[np.ndarray, "n height width 3"]:
    """`draw_latents`, decoded. `on_batch` is told how many images are done."""
    images: list[UInt8[np.ndarray, "b height width 3"]] = []
    for latents in draw_latents(denoiser, texts, empty_text, noise, config=config, shift=shift):
        images.append(to_uint8(decode_latents(autoencoder, latents)))
        on_batch(sum(map(len, images)))
    return np.concatenate(images)


def to_uint8(images: Float[Tensor, "b 3 height width"]) -> UInt8[np.ndarray, "b height width 3"]:
    """Images in [-1, 1] as bytes, rounded as diffusers' image processor rounds."""
    levels = (images / 2 + 0.5).clamp(0, 1) * 255
    return rearrange(levels.round().to(torch.uint8), "b c h w -> b h w c").numpy()
