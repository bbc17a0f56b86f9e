"""A token that tells a network which step of a few-step sampler its input comes from.

A model of what a few-step student draws has to know the step. Without it, it models the mixture over all steps, and so
does distribution matching: one step may draw too much of what another draws too little, and nothing pulls them back.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from components.models.denoiser import TextCondition


def with_step(condition: TextCondition, step: int) -> TextCondition:
    """The condition with one more token behind each text, the same for all samples: that of this step.

    A fixed vector drawn from N(0, 1) by the step's number, so that there is nothing to train or to save.
    """
    states, lengths = condition.states, condition.lengths
    longer = torch.cat([states, torch.zeros_like(states[:, :1])], dim=1)
    longer[torch.arange(len(states), device=states.device), lengths.to(states.device)] = step_token(step, states)
    return TextCondition(longer, lengths + 1)


def step_token(step: int, like: Float[Tensor, "b l d"]) -> Float[Tensor, " d"]:
    """The vector that stands for a step, from 0, in the type and on the device of `like`."""
    return torch.randn(like.shape[-1], generator=torch.Generator().manual_seed(step)).to(like)
