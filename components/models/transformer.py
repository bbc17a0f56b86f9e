"""The diffusion transformer: diffusers' own `ErnieImageTransformer2DModel`, built small, loaded and saved.

Source: ERNIE-Image, arXiv:2605.25347; the released configuration.
"""

from pathlib import Path

import torch
from diffusers import ErnieImageTransformer2DModel

from components.models.config import DiTConfig


def build_transformer(config: DiTConfig, in_channels: int, text_in_dim: int) -> ErnieImageTransformer2DModel:
    """A transformer with random weights whose output is exactly 0; draws from torch's global generator."""
    return ErnieImageTransformer2DModel(
        hidden_size=config.hidden_size,
        num_layers=config.num_layers,
        num_attention_heads=config.num_attention_heads,
        ffn_hidden_size=config.ffn_hidden_size,
        in_channels=in_channels,
        out_channels=in_channels,
        patch_size=1,
        text_in_dim=text_in_dim,
        rope_theta=config.rope_theta,
        rope_axes_dim=config.rope_axes_dim,
    )


def load_transformer(directory: Path) -> ErnieImageTransformer2DModel:
    """The transformer saved in `directory` by diffusers, in float32 and in evaluation mode."""
    if not (directory / "config.json").is_file():
        raise ValueError(f"no transformer in {directory}: config.json is missing; run the pre-training stages first")
    loaded = ErnieImageTransformer2DModel.from_pretrained(directory, use_safetensors=True, torch_dtype=torch.float32)
    return loaded.eval()
