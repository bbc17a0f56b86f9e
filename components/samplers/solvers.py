"""Solvers of dx/dt = v(x, t) along a grid of times, which may run either way.

Source: any text on ordinary differential equations; Karras et al. 2022, arXiv:2206.00364, algorithm 1 (Heun).
"""

from collections.abc import Callable
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]
"""v(x_t, t) with one time per sample."""


def euler(
    velocity: Velocity, x: Float[Tensor, " b *rest"], time_grid: Float[Tensor, " points"]
) -> Float[Tensor, " b *rest"]:
    """First order: x + (t' - t) v(x, t); one evaluation a step."""
    for t, t_next in pairwise(time_grid):
        x = x + (t_next - t) * velocity(x, t.expand(len(x)))
    return x


def heun(
    velocity: Velocity, x: Float[Tensor, " b *rest"], time_grid: Float[Tensor, " points"]
) -> Float[Tensor, " b *rest"]:
    """Second order: the mean of the velocities at both ends of the step; two evaluations a step."""
    for t, t_next in pairwise(time_grid):
        slope = velocity(x, t.expand(len(x)))
        predicted = x + (t_next - t) * slope
        x = x + (t_next - t) * (slope + velocity(predicted, t_next.expand(len(x)))) / 2
    return x


SAMPLERS: dict[str, Callable[[Velocity, Tensor, Tensor], Tensor]] = {"euler": euler, "heun": heun}
