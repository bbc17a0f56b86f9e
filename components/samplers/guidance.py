"""Classifier-free guidance: away from what the network draws without the prompt.

Source: Ho and Salimans 2022, arXiv:2207.12598, eq. 6 (with w = s - 1).
"""

from collections.abc import Callable
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor

from components.samplers.solvers import Velocity

Condition = TypeVar("Condition")


def combine(
    v_uncond: Float[Tensor, " *shape"], v_cond: Float[Tensor, " *shape"], guidance_scale: float
) -> Float[Tensor, " *shape"]:
    """v_uncond + s (v_cond - v_uncond)."""
    return v_uncond + guidance_scale * (v_cond - v_uncond)


def guided_velocity(
    model: Callable[[Tensor, Tensor, Condition], Tensor],
    condition: Condition,
    uncondition: Condition,
    guidance_scale: float,
) -> Velocity:
    """The guided velocity as a function of (x_t, t).

    At `guidance_scale` 1 the model runs once, with `condition` only, and the result is exactly its own.
    """

    def velocity(x_t: Tensor, t: Tensor) -> Tensor:
        v_cond = model(x_t, t, condition)
        if guidance_scale == 1:
            return v_cond
        return combine(model(x_t, t, uncondition), v_cond, guidance_scale)

    return velocity
