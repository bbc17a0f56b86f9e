"""Images, as the bytes they came in, to latents at several resolutions: what training reads instead of pixels."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2
from einops import rearrange
from jaxtyping import Float, UInt8

from components.data.config import DecodeLimits
from components.data.decode import decode_rgb, square
from components.models.autoencoder import encode_latents

Squares = dict[int, UInt8[np.ndarray, "side side 3"]]


def encode_images(
    autoencoder: AutoencoderKLFlux2,
    images: Sequence[bytes],
    sides_px: Sequence[int],
    limits: DecodeLimits,
    batch_size: int,
    report: Callable[[int], None],
) -> dict[int, Float[np.ndarray, "n c h w"]]:
    """Normalised packed latents in float16 of every image at every side, in the images' order.

    Decoding runs in a thread beside the network, one batch ahead. `report` is told how many images are done.
    """
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    done: dict[int, list[np.ndarray]] = {side: [] for side in sides_px}
    with ThreadPoolExecutor(max_workers=1) as decoder:
        pending = decoder.submit(_squares, batches[0], sides_px, limits)
        for number, batch in enumerate(batches):
            squares = pending.result()
            if number + 1 < len(batches):
                pending = decoder.submit(_squares, batches[number + 1], sides_px, limits)
            for side in sides_px:
                pixels = to_images(np.stack([square_of[side] for square_of in squares]))
                done[side].append(encode_latents(autoencoder, pixels).half().numpy())
            report(number * batch_size + len(batch))
    return {side: np.concatenate(parts) for side, parts in done.items()}


def to_images(pixels_u8: UInt8[np.ndarray, "n h w 3"]) -> Float[torch.Tensor, "n 3 h w"]:
    """Bytes as images in [-1, 1], in the memory layout that convolutions on CPU run fastest in."""
    images = rearrange(torch.from_numpy(pixels_u8), "n h w c -> n c h w").float() / 127.5 - 1
    return images.contiguous(memory_format=torch.channels_last)


def _squares(batch: Sequence[bytes], sides_px: Sequence[int], limits: DecodeLimits) -> list[Squares]:
    """Each image decoded once and shrunk to every side."""
    decoded = [decode_rgb(data, limits) for data in batch]
    return [{side: square(pixels, side) for side in sides_px} for pixels in decoded]
