"""The straight path x_t between data and noise, its velocity, and conversions between what a network may predict.

Given x_t and t, any one of x_0, eps and v determines the other two. `CONVERSIONS` lists all six ways.
Source: Liu et al. 2022, arXiv:2209.03003, eq. 1 (time runs the other way there).
"""

from collections.abc import Callable
from typing import Literal

from jaxtyping import Float
from torch import Tensor

Prediction = Literal["x_0", "eps", "v"]
Conversion = Callable[[Tensor, Tensor, Tensor], Tensor]


def interpolate(
    x_0: Float[Tensor, " b *rest"], eps: Float[Tensor, " b *rest"], t: Float[Tensor, " b"]
) -> Float[Tensor, " b *rest"]:
    """x_t = (1 - t) x_0 + t eps; exactly x_0 at t = 0 and eps at t = 1."""
    t_ = over(t, x_0)
    return (1 - t_) * x_0 + t_ * eps


def velocity(x_0: Float[Tensor, " b *rest"], eps: Float[Tensor, " b *rest"]) -> Float[Tensor, " b *rest"]:
    """dx_t/dt = eps - x_0, the same at every t."""
    return eps - x_0


def over(t: Float[Tensor, " b"], like: Float[Tensor, " b *rest"]) -> Float[Tensor, " b *ones"]:
    """One time per sample, shaped to multiply `like`."""
    return t.reshape(-1, *[1] * (like.ndim - 1))


def x_0_from_v(
    x_t: Float[Tensor, " b *rest"], v: Float[Tensor, " b *rest"], t: Float[Tensor, " b"]
) -> Float[Tensor, " b *rest"]:
    """x_0 = x_t - t v."""
    return x_t - over(t, x_t) * v


def eps_from_v(
    x_t: Float[Tensor, " b *rest"], v: Float[Tensor, " b *rest"], t: Float[Tensor, " b"]
) -> Float[Tensor, " b *rest"]:
    """Eps = x_t + (1 - t) v."""
    return x_t + (1 - over(t, x_t)) * v


def v_from_x_0(
    x_t: Float[Tensor, " b *rest"], x_0: Float[Tensor, " b *rest"], t: Float[Tensor, " b"]
) -> Float[Tensor, " b *rest"]:
    """V = (x_t - x_0) / t; infinite or undefined at t = 0, where x_t says nothing about the noise."""
    return (x_t - x_0) / over(t, x_t)


def v_from_eps(
    x_t: Float[Tensor, " b *rest"], eps: Float[Tensor, " b *rest"], t: Float[Tensor, " b"]
) -> Float[Tensor, " b *rest"]:
    """V = (eps - x_t) / (1 - t); infinite or undefined at t = 1, where x_t says nothing about the data."""
    return (eps - x_t) / (1 - over(t, x_t))


def eps_from_x_0(
    x_t: Float[Tensor, " b *rest"], x_0: Float[Tensor, " b *rest"], t: Float[Tensor, " b"]
) -> Float[Tensor, " b *rest"]:
    """Eps = (x_t - (1 - t) x_0) / t; undefined at t = 0."""
    t_ = over(t, x_t)
    return (x_t - (1 - t_) * x_0) / t_


def x_0_from_eps(
    x_t: Float[Tensor, " b *rest"], eps: Float[Tensor, " b *rest"], t: Float[Tensor, " b"]
) -> Float[Tensor, " b *rest"]:
    """x_0 = (x_t - t eps) / (1 - t); undefined at t = 1."""
    t_ = over(t, x_t)
    return (x_t - t_ * eps) / (1 - t_)


CONVERSIONS: dict[tuple[Prediction, Prediction], Conversion] = {
    ("v", "x_0"): x_0_from_v,
    ("v", "eps"): eps_from_v,
    ("x_0", "v"): v_from_x_0,
    ("eps", "v"): v_from_eps,
    ("x_0", "eps"): eps_from_x_0,
    ("eps", "x_0"): x_0_from_eps,
}
