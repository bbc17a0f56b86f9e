"""Images, as the bytes they came in, to latents at several resolutions: what training reads instead of pixels."""

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2
from einops import rearrange
from jaxtyping import Float, Float16, Int64, UInt8

from components.data.buckets import Bucket, pixels_needed, to_bucket
from components.data.config import BucketFit, DecodeLimits
from components.data.decode import decode_image
from components.models.autoencoder import encode_latents
from components.models.text_encoder import TextEncoder

Crops = tuple[Bucket, ...]
"""The bucket of one image at each resolution."""


@dataclass(frozen=True)
class EncodedGroup:
    """Images that share their buckets: which they are, and normalised packed latents for each resolution."""

    crops: Crops
    rows: Int64[np.ndarray, " n"]
    latents: list[Float16[np.ndarray, "n c _ _"]]


def encode_images(
    autoencoder: AutoencoderKLFlux2,
    images: Sequence[bytes],
    sizes: Sequence[tuple[int, int]],
    crops: Sequence[Crops],
    fit: BucketFit,
    limits: DecodeLimits,
    batch_size: int,
) -> list[EncodedGroup]:
    """Latents in float16 of every image (its width and height in `sizes`) in its bucket at every resolution.

    Decoding runs in a thread beside the network, one batch ahead.
    """
    batches = [
        (group, rows[start : start + batch_size])
        for group, rows in group_rows(crops)
        for start in range(0, len(rows), batch_size)
    ]
    done: dict[Crops, list[list[np.ndarray]]] = {}
    rows_of: dict[Crops, list[np.ndarray]] = {}

    def decoded(group: Crops, rows: Int64[np.ndarray, " n"]) -> list[np.ndarray]:
        pixels = [_decode(images[row], sizes[row], group, limits) for row in rows]
        return [np.stack([to_bucket(one, bucket, fit) for one in pixels]) for bucket in group]

    with ThreadPoolExecutor(max_workers=1) as decoder:
        pending = decoder.submit(decoded, *batches[0]) if batches else None
        for number, (group, rows) in enumerate(batches):
            pixels_of = pending.result() if pending else []
            pending = decoder.submit(decoded, *batches[number + 1]) if number + 1 < len(batches) else None
            encoded = [encode_latents(autoencoder, to_images(pixels)).half().numpy() for pixels in pixels_of]
            done.setdefault(group, []).append(encoded)
            rows_of.setdefault(group, []).append(rows)
    return [
        EncodedGroup(group, np.concatenate(rows_of[group]), [np.concatenate(x) for x in zip(*parts, strict=True)])
        for group, parts in done.items()
    ]


def group_rows(crops: Sequence[Crops]) -> Generator[tuple[Crops, Int64[np.ndarray, " n"]]]:
    """The rows that share their buckets, in the order of the buckets."""
    for group in sorted(set(crops)):
        yield group, np.flatnonzero([one == group for one in crops])


def encode_texts(encoder: TextEncoder, texts: Sequence[str]) -> list[Float16[np.ndarray, "tokens d"]]:
    """Token states of every text, in float16."""
    return [states.half().numpy() for states in encoder(texts)]


def to_images(pixels_u8: UInt8[np.ndarray, "n h w 3"]) -> Float[torch.Tensor, "n 3 h w"]:
    """Bytes as images in [-1, 1], in the memory layout that convolutions on CPU run fastest in."""
    images = rearrange(torch.from_numpy(pixels_u8), "n h w c -> n c h w").float() / 127.5 - 1
    return images.contiguous(memory_format=torch.channels_last)


def _decode(
    data: bytes, size: tuple[int, int], crops: Crops, limits: DecodeLimits
) -> UInt8[np.ndarray, "height width 3"]:
    """The image at the scale that its largest bucket needs, decoded once for all."""
    return decode_image(data, limits, max(pixels_needed(*size, bucket) for bucket in crops)).pixels_u8
