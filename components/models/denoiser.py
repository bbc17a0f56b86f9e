"""The transformer as a velocity v(x_t, t, condition): the one place that knows what its timestep input means."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import ErnieImageTransformer2DModel
from jaxtyping import Float, Int
from torch import Tensor, nn

TIMESTEP_SCALE = 1000.0


@dataclass(frozen=True)
class TextCondition:
    """Token states of one text per sample, padded with zeros to the longest; `lengths` counts the real tokens."""

    states: Float[Tensor, "b l d"]
    lengths: Int[Tensor, " b"]


def pad_states(states: Sequence[Float[Tensor, "_ d"]]) -> TextCondition:
    """A list of texts, each with its own number of tokens, as one batch, in float32."""
    padded = nn.utils.rnn.pad_sequence([s.float() for s in states], batch_first=True)
    return TextCondition(padded, torch.tensor([len(s) for s in states]))


def repeated(condition: TextCondition, count: int) -> TextCondition:
    """The whole batch `count` times in a row."""
    return TextCondition(condition.states.repeat(count, 1, 1), condition.lengths.repeat(count))


class Denoiser(nn.Module):
    """v(x_t, t, condition) by a transformer, whose timestep input is 1000 t.

    The timestep stays in float32 whatever the precision of the rest: in bf16 the values from 512 on would become
    multiples of 4. `compute_dtype` is what the other inputs become; None leaves them (autocast, or float32).
    """

    def __init__(self, transformer: ErnieImageTransformer2DModel, compute_dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.transformer = transformer
        self.compute_dtype = compute_dtype

    def forward(
        self, x_t: Float[Tensor, "b c h w"], t: Float[Tensor, " b"], condition: TextCondition
    ) -> Float[Tensor, "b c h w"]:
        """Velocity at (x_t, t) given the text."""
        dtype = self.compute_dtype or x_t.dtype
        (v,) = self.transformer(
            hidden_states=x_t.to(dtype),
            timestep=TIMESTEP_SCALE * t.float(),
            text_bth=condition.states.to(dtype),
            text_lens=condition.lengths,
            return_dict=False,
        )
        return v

    def compute_in(self, dtype: torch.dtype | None) -> None:
        """Set `compute_dtype`, of denoisers inside this one too."""
        for part in self.modules():
            if isinstance(part, Denoiser):
                part.compute_dtype = dtype

    def checkpoint_activations(self) -> None:
        """Let blocks keep their input only, and compute the rest again in the backward pass."""
        self.transformer.enable_gradient_checkpointing()
