"""What a few-step generator has drawn when it comes to one of its steps: the input it will see when it is used.

Training it on noised real data instead teaches it inputs that never occur. With Euler the next state is the predicted
data noised by the *predicted* noise, since x + (t' - t) v = (1 - t') x_0 + t' eps for the x_0 and eps that v means; the
alternative puts fresh noise in its place.
Source: Yin et al. 2024, arXiv:2405.14867, section 4.4 (backward simulation); the identity is ours.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from components.paths.interpolant import interpolate, x_0_from_v
from components.paths.noise import normal_noise
from components.samplers.solvers import Velocity

RollOut = Callable[[Velocity, Tensor, Tensor, Sequence[torch.Generator]], Tensor]


@torch.no_grad()
def roll_out_euler(
    velocity: Velocity,
    x: Float[Tensor, " b *rest"],
    time_grid: Float[Tensor, " points"],
    generators: Sequence[torch.Generator] = (),
) -> Float[Tensor, " b *rest"]:
    """The state at the grid's last time, from `x` at its first, as the Euler sampler gets there; nothing is drawn."""
    for t, t_next in pairwise(time_grid):
        x = x + (t_next - t) * velocity(x, t.expand(len(x)))
    return x


@torch.no_grad()
def roll_out_renoised(
    velocity: Velocity,
    x: Float[Tensor, " b *rest"],
    time_grid: Float[Tensor, " points"],
    generators: Sequence[torch.Generator],
) -> Float[Tensor, " b *rest"]:
    """The same with fresh noise at every step, each sample's from its own generator."""
    for t, t_next in pairwise(time_grid):
        now = t.expand(len(x))
        x = interpolate(x_0_from_v(x, velocity(x, now), now), normal_noise(x, generators), t_next.expand(len(x)))
    return x


ROLL_OUTS: dict[str, RollOut] = {"euler": roll_out_euler, "renoise": roll_out_renoised}
