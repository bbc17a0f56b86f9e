"""A reward beside distribution matching, from judges that are asked for numbers only and need no derivative.

A few-step student has no likelihood, so at the step being trained, from t to t', its state is made a random one: with
x_hat and eps_hat what v means, r the freshness and n ~ N(0, 1) drawn for each of several branches,

    mean  = (1 - t') x_hat + t' sqrt(1 - r^2) eps_hat       carries the student's gradient
    state = mean + t' r n                                   Euler's own state where r is 0

Each branch is continued to data as the student is used, and judged; A is its reward, standardised among the branches of
its state. Then E[A n] = t' r grad_mean E[reward] / std(reward): the mean is moved along A n, by a loss whose derivative
by it is -mean(A n) over the number of elements. What stands in the way of hacking is distribution matching alone:
|E[A n]| is at most 1 over all D elements together, while distribution matching pulls a sample that is far off by 1 in
each, so that a weight well below sqrt(D) stays bounded. The estimate's own noise is of size sqrt(D / branches). A last
step, with t' = 0, has no state to vary and no term.

Source: Williams 1992 (REINFORCE); Liu et al. 2025, arXiv:2505.05470 (a flow's steps as a Gaussian policy, advantages
within a group); arXiv:2511.13649 (a reward beside distribution matching). The branching of one step is ours.
"""

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

from components.objectives.distribution_matching import moved_loss
from components.paths.interpolant import eps_from_v, over, x_0_from_v

TINY = 1e-6
"""Below this spread of rewards, relative to their size, branches count as equally good."""


def branch_mean(
    x: Float[Tensor, " b *rest"],
    v: Float[Tensor, " b *rest"],
    t: Float[Tensor, " b"],
    t_next: Float[Tensor, " b"],
    freshness: float,
) -> Float[Tensor, " b *rest"]:
    """The mean of the next state; as `freshness` falls to 0 it becomes Euler's x + (t' - t) v."""
    kept = (1 - freshness**2) ** 0.5
    t_ = over(t_next, x)
    return (1 - t_) * x_0_from_v(x, v, t) + t_ * kept * eps_from_v(x, v, t)


def branch_states(
    mean: Float[Tensor, " b *rest"], noise: Float[Tensor, "g b *rest"], t_next: Float[Tensor, " b"], freshness: float
) -> Float[Tensor, "g b *rest"]:
    """The states of all branches, without gradient; ValueError at t' = 0, where they would all be the same."""
    if float(t_next.min()) <= 0:
        raise ValueError("a last step has no state to branch from; allowed: steps whose next time is above 0")
    return (mean + freshness * over(t_next, mean) * noise).detach()


def group_advantages(rewards: Float[Tensor, "g b"]) -> Float[Tensor, "g b"]:
    """Rewards of mean 0 and mean square 1 among the branches of each state; 0 where these are equally good.

    ValueError if a reward is not finite.
    """
    if not bool(rewards.isfinite().all()):
        raise ValueError(
            f"{int((~rewards.isfinite()).sum())} of {rewards.numel()} rewards are not finite; ask the judge"
        )
    centred = rewards - rewards.mean(dim=0)
    spread = centred.square().mean(dim=0).sqrt()
    is_decided = spread > TINY * rewards.abs().amax(dim=0)
    return torch.where(is_decided, centred / torch.where(is_decided, spread, 1.0), 0.0)


def reward_term(
    mean: Float[Tensor, " b *rest"], noise: Float[Tensor, "g b *rest"], advantages: Float[Tensor, "g b"]
) -> Float[Tensor, ""]:
    """A loss whose derivative by `mean` is -(mean over branches of A n) over the number of elements."""
    pulled = einsum(advantages.to(mean.dtype), rearrange(noise, "g b ... -> g b (...)"), "g b, g b d -> b d")
    return moved_loss(mean, -pulled.reshape(mean.shape) / len(noise))
