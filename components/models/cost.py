"""What the networks weigh and what they compute: exact counts by formula, without torch.

A multiply-add is two operations. Only matrix products, convolutions and attention scores are counted: the rest is less
than one per cent of the arithmetic, and `torch.utils.flop_counter` counts the same, which the tests compare with.
Source: diffusers `transformer_ernie_image.py`, `vae.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from components.models.config import AutoencoderConfig, DiTConfig, LoraShape, TextEncoderConfig

PX_PER_TOKEN = 16
"""Side of the square of pixels that is one token: 8 by the autoencoder, 2 by the packing of its latents."""


def parameters_by_part(config: DiTConfig, in_channels: int, text_in_dim: int) -> dict[str, int]:
    """Weights of the transformer: all blocks, what leads in, what the time goes through, what leads out."""
    h, head = config.hidden_size, config.hidden_size // config.num_attention_heads
    block = 4 * h * h + 3 * h * config.ffn_hidden_size + 2 * h + 2 * head
    text_in = 0 if text_in_dim == h else text_in_dim * h
    return {
        "blocks": config.num_layers * block,
        "inputs": in_channels * h + h + text_in,
        "time": 2 * (h * h + h) + 6 * h * h + 6 * h,
        "output": 2 * h * h + 2 * h + h * in_channels + in_channels,
    }


def parameter_count(config: DiTConfig, in_channels: int, text_in_dim: int) -> int:
    """Number of weights of the transformer."""
    return sum(parameters_by_part(config, in_channels, text_in_dim).values())


def lora_parameters(config: DiTConfig, in_channels: int, text_in_dim: int, shape: LoraShape) -> int:
    """Number of weights of the adapters: a row and a column of `rank` numbers for each layer that has a given name."""
    widths = _layer_widths(config, in_channels, text_in_dim)
    adapted = {name for name in widths for layer in shape.layers if f".{name}".endswith(f".{layer}")}
    return shape.rank * sum(sum(widths[name]) for name in adapted)


def _layer_widths(config: DiTConfig, in_channels: int, text_in_dim: int) -> dict[str, tuple[int, int]]:
    """Width inside and outside of every layer that can have an adapter."""
    h, wide = config.hidden_size, config.ffn_hidden_size
    of_block = {f"self_attention.{name}": (h, h) for name in ("to_q", "to_k", "to_v", "to_out.0")} | {
        "mlp.gate_proj": (h, wide),
        "mlp.up_proj": (h, wide),
        "mlp.linear_fc2": (wide, h),
    }
    blocks = {f"layers.{block}.{name}": of_block[name] for block in range(config.num_layers) for name in of_block}
    text = {} if text_in_dim == h else {"text_proj": (text_in_dim, h)}
    return (
        blocks
        | text
        | {
            "x_embedder.proj": (in_channels, h),
            "time_embedding.linear_1": (h, h),
            "time_embedding.linear_2": (h, h),
            "adaLN_modulation.1": (h, 6 * h),
            "final_norm.linear": (h, 2 * h),
            "final_linear": (h, in_channels),
        }
    )


def image_tokens(width_px: int, height_px: int) -> int:
    """Tokens of an image; ValueError if a side is no multiple of 16 pixels."""
    if width_px % PX_PER_TOKEN or height_px % PX_PER_TOKEN:
        raise ValueError(f"an image of {width_px}x{height_px} px: both sides must be multiples of {PX_PER_TOKEN} px")
    return width_px * height_px // PX_PER_TOKEN**2


@dataclass(frozen=True)
class Flops:
    """Operations for one image, by part.

    `projections` are the four matrices of each attention, `scores` the products of queries with keys and of weights
    with values, `feed_forward` the gated layers, `ends` everything outside the blocks.
    """

    projections: float
    scores: float
    feed_forward: float
    ends: float

    @property
    def blocks(self) -> float:
        """All that activation checkpointing computes again."""
        return self.projections + self.scores + self.feed_forward

    @property
    def total(self) -> float:
        """The sum of the parts."""
        return self.blocks + self.ends


def forward_flops(
    config: DiTConfig, in_channels: int, text_in_dim: int, num_image_tokens: int, num_text_tokens: int
) -> Flops:
    """Operations of one image forward; `num_text_tokens` counts padding, which is computed like the rest."""
    h, tokens = config.hidden_size, num_image_tokens + num_text_tokens
    text_in = 0 if text_in_dim == h else text_in_dim * h * num_text_tokens
    ends = in_channels * h * num_image_tokens + text_in + (2 + 6 + 2) * h * h + h * in_channels * tokens
    return Flops(
        projections=2.0 * config.num_layers * tokens * 4 * h * h,
        scores=2.0 * config.num_layers * 2 * tokens * tokens * h,
        feed_forward=2.0 * config.num_layers * tokens * 3 * h * config.ffn_hidden_size,
        ends=2.0 * ends,
    )


def training_flops(forward: Flops, *, recompute: bool) -> float:
    """Operations of one image forward and backward: 3 times forward, and the blocks once more if they are recomputed.

    The backward pass has two products for each of the forward pass. That the ends need no gradient of their inputs, and
    that a fused attention computes its scores again, is left out, as it is in published utilisations.
    """
    return 3 * forward.total + (forward.blocks if recompute else 0.0)


@dataclass(frozen=True)
class _Convolution:
    """One convolution: channels, side of its kernel, and how often smaller than the image its output is, by side."""

    inside: int
    outside: int
    kernel: int
    reduction: int

    @property
    def parameters(self) -> int:
        return self.inside * self.outside * self.kernel**2 + self.outside

    def flops(self, pixels: int) -> float:
        return 2.0 * self.inside * self.outside * self.kernel**2 * pixels / self.reduction**2


def autoencoder_parameters(config: AutoencoderConfig) -> int:
    """Number of weights of both halves of an `AutoencoderKLFlux2`."""
    both = [*_encoder(config), *_decoder(config)]
    return sum(part.parameters if isinstance(part, _Convolution) else part for part in both)


def encode_flops(config: AutoencoderConfig, pixels: int) -> float:
    """Operations of encoding an image of so many pixels, without the attention in the middle (below one per cent)."""
    return sum(part.flops(pixels) for part in _encoder(config) if isinstance(part, _Convolution))


def _encoder(config: AutoencoderConfig) -> Iterator[_Convolution | int]:
    """The convolutions in order, and for what is no convolution the number of its weights."""
    widths, before = config.block_out_channels, config.block_out_channels[0]
    yield _Convolution(3, before, 3, 1)
    for depth, width in enumerate(widths):
        for layer in range(config.layers_per_block):
            yield from _residual(before if layer == 0 else width, width, 2**depth)
        if depth + 1 < len(widths):
            yield _Convolution(width, width, 3, 2 ** (depth + 1))
        before = width
    smallest = 2 ** (len(widths) - 1)
    yield from _middle(config, smallest)
    yield 2 * before
    yield _Convolution(before, 2 * config.latent_channels, 3, smallest)
    yield _Convolution(2 * config.latent_channels, 2 * config.latent_channels, 1, smallest)


def _decoder(config: AutoencoderConfig) -> Iterator[_Convolution | int]:
    widths = config.block_out_channels[::-1]
    before, smallest = widths[0], 2 ** (len(widths) - 1)
    yield _Convolution(config.latent_channels, config.latent_channels, 1, smallest)
    yield _Convolution(config.latent_channels, before, 3, smallest)
    yield from _middle(config, smallest)
    for depth, width in enumerate(widths):
        reduction = smallest // 2**depth
        for layer in range(config.layers_per_block + 1):
            yield from _residual(before if layer == 0 else width, width, reduction)
        if depth + 1 < len(widths):
            yield _Convolution(width, width, 3, reduction // 2)
        before = width
    yield 2 * before
    yield _Convolution(before, 3, 3, 1)


def _middle(config: AutoencoderConfig, reduction: int) -> Iterator[_Convolution | int]:
    width = config.block_out_channels[-1]
    yield from _residual(width, width, reduction)
    if config.mid_block_attention:
        yield 2 * width + 4 * (width * width + width)
    yield from _residual(width, width, reduction)


def _residual(inside: int, outside: int, reduction: int) -> Iterator[_Convolution | int]:
    """Two normed convolutions, and a third around them where the width changes."""
    yield 2 * inside + 2 * outside
    yield _Convolution(inside, outside, 3, reduction)
    yield _Convolution(outside, outside, 3, reduction)
    if inside != outside:
        yield _Convolution(inside, outside, 1, reduction)


def text_encoder_parameters(config: TextEncoderConfig) -> int:
    """Weights of the matrices and the embedding of a text encoder: all but norms and biases, below two per cent."""
    return config.vocab_size * config.hidden_size + config.num_layers * _text_layer(config)


def text_flops(config: TextEncoderConfig, num_tokens: int) -> float:
    """Operations of encoding a text of so many tokens."""
    scores = 2 * num_tokens * num_tokens * config.num_attention_heads * config.head_dim
    return 2.0 * config.num_layers * (num_tokens * _text_layer(config) + scores)


def _text_layer(config: TextEncoderConfig) -> int:
    heads = 2 * config.num_attention_heads + 2 * config.num_key_value_heads
    matrices = 3 if config.is_gated else 2
    return config.hidden_size * (heads * config.head_dim + matrices * config.ffn_hidden_size)
