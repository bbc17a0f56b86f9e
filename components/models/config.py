"""Shapes of the networks, as plain values: reading parameters must not import torch."""

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DiTConfig:
    """Shape of an `ErnieImageTransformer2DModel`; the fields have diffusers' names.

    `rope_axes_dim` are the rotary widths of (text position, row, column) and must sum to the width of one head.
    """

    hidden_size: int
    num_layers: int
    num_attention_heads: int
    ffn_hidden_size: int
    rope_axes_dim: tuple[int, int, int]
    rope_theta: int

    def __post_init__(self) -> None:
        head_dim, rest = divmod(self.hidden_size, self.num_attention_heads)
        if rest:
            raise ValueError(
                f"hidden_size must be a multiple of num_attention_heads, got {self.hidden_size} and "
                f"{self.num_attention_heads}"
            )
        if sum(self.rope_axes_dim) != head_dim or any(width % 2 for width in self.rope_axes_dim):
            raise ValueError(
                f"rope_axes_dim must be three even widths that sum to the head's width {head_dim}, "
                f"got {self.rope_axes_dim}"
            )


@dataclass(frozen=True)
class LoraShape:
    """Low-rank adapters: their rank, the scale `alpha` / `rank`, and the names of the layers that get one."""

    rank: int
    alpha: int
    layers: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0 or not self.layers:
            raise ValueError(f"a LoRA needs a rank of at least 1, a positive alpha and layers, got {self}")


@dataclass(frozen=True)
class AutoencoderConfig:
    """Shape of an `AutoencoderKLFlux2`.

    Four block widths give 8x downsampling, which with the 2x2 patches of the latents makes 16x, as in FLUX.2.
    `ErnieImagePipeline` derives its scale factor from their number, so another number would not load there.
    """

    latent_channels: int
    block_out_channels: tuple[int, int, int, int]
    layers_per_block: int
    norm_num_groups: int
    mid_block_attention: bool = False

    @property
    def packed_channels(self) -> int:
        """Channels of one token: the 2x2 patch of the latents."""
        return 4 * self.latent_channels


@dataclass(frozen=True)
class TextEncoderConfig:
    """Shape of a text encoder; `num_layers` are all of them, the last of which the transformer does not look at.

    `is_gated`: three matrices in each feed-forward layer, not two. `max_tokens` is where a text is cut.
    """

    hidden_size: int
    num_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    ffn_hidden_size: int
    is_gated: bool
    vocab_size: int
    max_tokens: int


@dataclass(frozen=True)
class DirectoryWeights:
    """A transformer, or a whole pipeline, that diffusers saved in a folder, with the SHA-256 that identifies it."""

    directory: str
    sha256: str


@dataclass(frozen=True)
class HubWeights:
    """A pipeline on the Hub (`baidu/ERNIE-Image`) at one commit: a branch would be another model tomorrow."""

    repo: str
    revision: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ValueError(f"revision must be the 40 hexadecimal digits of a commit, got {self.revision!r}")


InitialWeights = DirectoryWeights | HubWeights
"""Where a training's first weights come from, if not from a seed or from an earlier stage."""

AutoencoderName = Literal["embedded", "flux2"]
AUTOENCODERS: dict[AutoencoderName, AutoencoderConfig] = {
    "embedded": AutoencoderConfig(8, (16, 16, 64, 64), 1, 8),
    "flux2": AutoencoderConfig(32, (128, 256, 512, 512), 2, 32, mid_block_attention=True),
}
"""The autoencoder that comes with the data, and FLUX.2's, which ERNIE-Image uses."""

TextEncoderName = Literal["minilm", "ministral3"]
TEXT_ENCODERS: dict[TextEncoderName, TextEncoderConfig] = {
    "minilm": TextEncoderConfig(384, 6, 12, 12, 32, 1536, False, 30522, 512),
    "ministral3": TextEncoderConfig(3072, 26, 32, 8, 128, 9216, True, 131072, 2048),
}
"""all-MiniLM-L6-v2, which comes in a package, and Ministral-3 3B, which ERNIE-Image uses."""
