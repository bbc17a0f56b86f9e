"""Flow matching: the network's velocity against the path's own.

Source: Lipman et al. 2022, arXiv:2210.02747, eq. 14 (time runs the other way there); arXiv:2605.25347, section 2.2.2.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from components.paths.config import TimestepDensity
from components.paths.interpolant import interpolate, velocity
from components.paths.noise import normal_noise
from components.paths.timesteps import draw_timesteps

Condition = TypeVar("Condition")
Model = Callable[[Tensor, Tensor, Condition], Tensor]
"""A velocity network v(x_t, t, condition); what it does with t to feed its layers is its own business."""


def velocity_error(
    model: Model[Condition],
    condition: Condition,
    x_0: Float[Tensor, " b *rest"],
    eps: Float[Tensor, " b *rest"],
    t: Float[Tensor, " b"],
) -> Float[Tensor, " b"]:
    """Mean over elements of (v(x_t, t) - (eps - x_0))^2, one value per sample, in float32 or wider."""
    predicted = model(interpolate(x_0, eps, t), t, condition)
    error = (predicted.to(x_0.dtype) - velocity(x_0, eps)).square()
    return reduce(error, "b ... -> b", "mean")


def flow_matching_terms(
    model: Model[Condition],
    condition: Condition,
    x_0: Float[Tensor, " b *rest"],
    density: TimestepDensity,
    generators: Sequence[torch.Generator],
) -> dict[str, Float[Tensor, ""]]:
    """The objective's only term, the mean velocity error; each sample's generator gives its time, then its noise."""
    t = draw_timesteps(density, generators).to(x_0)
    eps = normal_noise(x_0, generators)
    return {"flow_matching": velocity_error(model, condition, x_0, eps, t).mean()}
