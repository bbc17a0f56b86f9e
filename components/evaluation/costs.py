"""What one image costs a model: runs of its network and their arithmetic: unlike seconds the same anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.evaluation.suite import Model
from components.models.config import DiTConfig
from components.models.cost import forward_flops


@dataclass(frozen=True)
class Cost:
    """Runs of the network for one image, and their operations on average over the prompts, in units of 10^9.

    Only the network's: neither the text encoder nor the decoder is counted, nor padding of texts.
    """

    model: str
    num_evaluations: int
    gflops: float


def cost_of(name: str, model: Model, text_tokens: Sequence[int], empty_tokens: int, num_image_tokens: int) -> Cost:
    """The cost of drawing prompts of so many tokens; with guidance each step runs the empty prompt as well."""
    config: Any = model.denoiser.transformer.config
    shape = DiTConfig(
        config.hidden_size,
        config.num_layers,
        config.num_attention_heads,
        config.ffn_hidden_size,
        config.rope_axes_dim,
        config.rope_theta,
    )

    def forward(num_text_tokens: int) -> float:
        return forward_flops(shape, config.in_channels, config.text_in_dim, num_image_tokens, num_text_tokens).total

    steps, evaluations = model.sampling.num_sampling_steps, model.sampling.num_evaluations
    guided = float(np.mean([forward(tokens) for tokens in text_tokens]))
    return Cost(name, evaluations, (steps * guided + (evaluations - steps) * forward(empty_tokens)) / 1e9)
