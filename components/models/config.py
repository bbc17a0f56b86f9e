"""Shapes of the networks, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass


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
class AutoencoderConfig:
    """Shape of an `AutoencoderKLFlux2`.

    Four block widths give 8x downsampling, which with the 2x2 patches of the latents makes 16x, as in FLUX.2.
    `ErnieImagePipeline` derives its scale factor from their number, so another number would not load there.
    """

    latent_channels: int
    block_out_channels: tuple[int, int, int, int]
    layers_per_block: int
    norm_num_groups: int

    @property
    def packed_channels(self) -> int:
        """Channels of one token: the 2x2 patch of the latents."""
        return 4 * self.latent_channels
