"""Sample grids: one image per prompt, always from the same noise, with the prompt written below it."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2
from einops import rearrange
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from components.models.autoencoder import decode_latents
from components.models.denoiser import Denoiser, TextCondition, repeated
from components.samplers.guidance import guided_velocity
from components.samplers.solvers import euler
from components.samplers.time_grid import shifted_time_grid
from components.training.config import GridConfig
from components.training.ranks import shares, summed

CELL_PX = 128
CAPTION_PX = 30
COLUMNS = 6


@torch.no_grad()
def draw_samples(
    denoiser: Denoiser,
    autoencoder: AutoencoderKLFlux2,
    condition: TextCondition,
    uncondition: TextCondition,
    latent_side: int,
    config: GridConfig,
) -> UInt8[np.ndarray, "n height width 3"]:
    """One image per text of `condition`, as bytes; the noise depends on `config.seed` only.

    Every process draws its share and gets all of them.
    """
    device = next(denoiser.parameters()).device
    count = len(condition.lengths)
    generator = torch.Generator().manual_seed(config.seed)
    channels = denoiser.transformer.config["in_channels"]
    noise = torch.randn(count, channels, latent_side, latent_side, generator=generator)
    time_grid = shifted_time_grid(config.num_sampling_steps, config.shift)
    images_u8 = torch.zeros(count, 16 * latent_side, 16 * latent_side, 3, dtype=torch.uint8, device=device)
    for rows, is_padding in shares(count, count):
        own = TextCondition(condition.states[rows].to(device), condition.lengths[rows].to(device))
        empty = TextCondition(uncondition.states.to(device), uncondition.lengths.to(device))
        velocity = guided_velocity(denoiser, own, repeated(empty, len(rows)), config.guidance_scale)
        latents = euler(velocity, noise[rows].to(device), time_grid.to(device))
        with torch.autocast(autoencoder.device.type, enabled=False):  # decoders lose colours in bf16
            drawn = to_bytes(decode_latents(autoencoder, latents.to(autoencoder.device, autoencoder.dtype)))
        images_u8[rows[~is_padding]] = torch.from_numpy(drawn).to(device)[~is_padding]
    return summed(images_u8).cpu().numpy()


def to_bytes(images: Float[Tensor, "n 3 h w"]) -> UInt8[np.ndarray, "n h w 3"]:
    """Images in [-1, 1] as bytes."""
    return rearrange(((images + 1) * 127.5).round().clamp(0, 255).byte(), "n c h w -> n h w c").cpu().numpy()


def draw_grid(images_u8: UInt8[np.ndarray, "n h w 3"], captions: Sequence[str]) -> UInt8[np.ndarray, "height width 3"]:
    """All images on one sheet, enlarged without smoothing, each with its caption below."""
    columns = min(COLUMNS, len(images_u8))
    rows = math.ceil(len(images_u8) / columns)
    sheet = Image.new("RGB", (columns * CELL_PX, rows * (CELL_PX + CAPTION_PX)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for number, (image_u8, caption) in enumerate(zip(images_u8, captions, strict=True)):
        x, y = number % columns * CELL_PX, number // columns * (CELL_PX + CAPTION_PX)
        sheet.paste(Image.fromarray(image_u8).resize((CELL_PX, CELL_PX), Image.Resampling.NEAREST), (x, y))
        for line, text in enumerate(wrap(caption, CELL_PX - 4, font)[:2]):
            pen.text((x + 2, y + CELL_PX + 1 + 13 * line), text, fill="black", font=font)
    return np.asarray(sheet)


def wrap(text: str, width_px: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """`text` in lines of whole words, each at most `width_px` wide where its words allow."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width_px:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
