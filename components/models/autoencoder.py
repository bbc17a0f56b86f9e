"""The image autoencoder and the space the transformer works in.

Images go through `AutoencoderKLFlux2` (8x smaller), are packed by 2x2 patches (16x smaller in all) and normalised
with the running statistics of the autoencoder's batch norm. Packed channel k = 4 c + 2 row + column. Both steps are
the inverses of what diffusers' `ErnieImagePipeline` does before it decodes.
Source: FLUX.2's autoencoder as reused by ERNIE-Image (arXiv:2605.25347); diffusers `pipeline_ernie_image.py`.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from components.models.config import AUTOENCODERS, AutoencoderConfig, AutoencoderName

# The config of the released model says 1e-4, but its pipeline decodes with 1e-5, the value it was trained with.
BATCH_NORM_EPS = 1e-5
_T = TypeVar("_T")


def build_autoencoder(config: AutoencoderConfig) -> AutoencoderKLFlux2:
    """An autoencoder with random weights; draws from torch's global generator, as all module constructors do."""
    depth = len(config.block_out_channels)
    return AutoencoderKLFlux2(
        down_block_types=("DownEncoderBlock2D",) * depth,
        up_block_types=("UpDecoderBlock2D",) * depth,
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        latent_channels=config.latent_channels,
        norm_num_groups=config.norm_num_groups,
        mid_block_add_attention=config.mid_block_attention,
        batch_norm_eps=BATCH_NORM_EPS,
    )


def load_autoencoder(directory: Path) -> AutoencoderKLFlux2:
    """The autoencoder saved in `directory` by diffusers, in float32, frozen and in evaluation mode."""
    if not (directory / "config.json").is_file():
        raise ValueError(f"no autoencoder in {directory}: config.json is missing; `dvc pull` brings the pinned one")
    loaded = AutoencoderKLFlux2.from_pretrained(directory, use_safetensors=True, torch_dtype=torch.float32)
    return loaded.requires_grad_(False).eval()


def check_autoencoder(directory: Path, name: AutoencoderName) -> None:
    """ValueError unless the autoencoder saved in `directory` has the shape of the one called `name`."""
    file, wanted = directory / "config.json", AUTOENCODERS[name]
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    shape = found.get("latent_channels"), tuple(found.get("block_out_channels", ()))
    if shape != (wanted.latent_channels, wanted.block_out_channels):
        raise ValueError(
            f"{directory} holds no {name!r} autoencoder: latent channels and widths are {shape}, not "
            f"{(wanted.latent_channels, wanted.block_out_channels)}; put it there, or name the one that is there"
        )


def autoencoder_sha256(directory: Path) -> str:
    """What identifies the autoencoder saved in `directory`: SHA-256 over its configuration and its weights."""
    files = [directory / "config.json", *sorted(directory.glob("*.safetensors"))]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def patchify(latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b packed h2 w2"]:
    """Each 2x2 patch as one position: packed channel 4 c + 2 row + column."""
    return rearrange(latents, "b c (h p) (w q) -> b (c p q) h w", p=2, q=2)


def unpatchify(packed: Float[Tensor, "b packed h2 w2"]) -> Float[Tensor, "b c h w"]:
    """The inverse of `patchify`."""
    return rearrange(packed, "b (c p q) h w -> b c (h p) (w q)", p=2, q=2)


def normalise(autoencoder: AutoencoderKLFlux2, packed: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Packed latents with the mean and variance of the autoencoder's training set taken out, channel by channel."""
    mean, std = _statistics(autoencoder)
    return (packed - mean) / std


def denormalise(autoencoder: AutoencoderKLFlux2, packed: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """The inverse of `normalise`, as `ErnieImagePipeline` applies it before decoding."""
    mean, std = _statistics(autoencoder)
    return packed * std + mean


def _statistics(autoencoder: AutoencoderKLFlux2) -> tuple[Tensor, Tensor]:
    mean, variance = cast(Tensor, autoencoder.bn.running_mean), cast(Tensor, autoencoder.bn.running_var)
    return mean.view(1, -1, 1, 1), torch.sqrt(variance.view(1, -1, 1, 1) + BATCH_NORM_EPS)


@torch.no_grad()
def set_statistics(autoencoder: AutoencoderKLFlux2, mean: Float[Tensor, " c"], variance: Float[Tensor, " c"]) -> None:
    """Write the statistics that `normalise` uses into the autoencoder, where they are saved with its weights."""
    cast(Tensor, autoencoder.bn.running_mean).copy_(mean)
    cast(Tensor, autoencoder.bn.running_var).copy_(variance)


def encode_moments(
    autoencoder: AutoencoderKLFlux2, images: Float[Tensor, "b 3 height width"]
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b c h w"]]:
    """Mean and log-variance of the posterior of images in [-1, 1]; sides must be multiples of 8."""
    (posterior,) = autoencoder.encode(images, return_dict=False)
    return posterior.mean, posterior.logvar


def decode(autoencoder: AutoencoderKLFlux2, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 height width"]:
    """Images from raw latents, neither packed nor normalised; not clamped."""
    (images,) = cast(tuple[Tensor], autoencoder.decode(cast(torch.FloatTensor, latents), return_dict=False))
    return images


@torch.no_grad()
def encode_latents(
    autoencoder: AutoencoderKLFlux2, images: Float[Tensor, "b 3 height width"]
) -> Float[Tensor, "b c h w"]:
    """Normalised packed latents of images in [-1, 1]: the posterior's mean; sides must be multiples of 16."""
    return normalise(autoencoder, patchify(encode_moments(autoencoder, images)[0]))


def reconstruct_then(
    function: Callable[[UInt8[np.ndarray, "n h w 3"]], _T],
    autoencoder: AutoencoderKLFlux2,
    images_u8: UInt8[np.ndarray, "n h w 3"],
) -> _T:
    """`function` of the images after the autoencoder took them apart and put them together again."""
    images = rearrange(torch.from_numpy(images_u8), "n h w c -> n c h w").float() / 127.5 - 1
    images = images.contiguous(memory_format=torch.channels_last)  # in which convolutions on CPU run fastest
    decoded = decode_latents(autoencoder, encode_latents(autoencoder, images))
    levels = ((decoded + 1) * 127.5).round().to(torch.uint8)
    return function(rearrange(levels, "n c h w -> n h w c").contiguous().numpy())


@torch.no_grad()
def decode_latents(
    autoencoder: AutoencoderKLFlux2, latents: Float[Tensor, "b c h w"]
) -> Float[Tensor, "b 3 height width"]:
    """Images in [-1, 1] from normalised packed latents."""
    return decode(autoencoder, unpatchify(denormalise(autoencoder, latents))).clamp(-1, 1)
