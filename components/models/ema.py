"""Exponential moving average of weights, kept in float32."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor


class WeightAverage:
    """Average of weights over their updates: a <- d a + (1 - d) w, with d = `decay_at(n, decay)`.

    The weights are given by name; they may be parts of sharded ones, as long as they are always the same parts.
    """

    def __init__(self, weights: Mapping[str, Float[Tensor, "..."]], decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        self.decay = decay
        self.num_updates = 0
        self.weights: dict[str, Float[Tensor, ...]] = {
            name: value.detach().to(torch.float32, copy=True) for name, value in weights.items()
        }

    @torch.no_grad()
    def update(self, weights: Mapping[str, Float[Tensor, "..."]]) -> None:
        """Take the present weights into the average."""
        self.num_updates += 1
        share = 1 - decay_at(self.num_updates, self.decay)
        current = [weights[name].detach().float() for name in self.weights]
        torch._foreach_lerp_(list(self.weights.values()), current, share)  # pyright: ignore[reportPrivateUsage] - one call for all

    def load(self, weights: Mapping[str, Float[Tensor, "..."]], num_updates: int) -> None:
        """Continue from a saved average."""
        self.weights = {name: weights[name].to(torch.float32, copy=True) for name in self.weights}
        self.num_updates = num_updates


def decay_at(num_updates: int, decay: float) -> float:
    """min(decay, n / (n + 9)): early on the average must not remember the random start."""
    return min(decay, num_updates / (num_updates + 9))
