"""Exponential moving average of weights, kept in float32."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn


class WeightAverage:
    """Average of a module's weights over its updates: a <- d a + (1 - d) w, with d = `decay_at(n, decay)`."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        self.decay = decay
        self.num_updates = 0
        self.weights: dict[str, Float[Tensor, ...]] = {
            name: value.detach().float().clone() for name, value in module.state_dict().items()
        }

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take the module's present weights into the average."""
        self.num_updates += 1
        decay = decay_at(self.num_updates, self.decay)
        current = module.state_dict()
        for name, average in self.weights.items():
            average.lerp_(current[name].float(), 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Write the average into the module, in the module's own precision."""
        module.load_state_dict(self.weights)

    def load(self, weights: Mapping[str, Tensor], num_updates: int) -> None:
        """Continue from a saved average."""
        self.weights = {name: weights[name].float().clone() for name in self.weights}
        self.num_updates = num_updates


def decay_at(num_updates: int, decay: float) -> float:
    """min(decay, n / (n + 9)): early on the average must not remember the random start."""
    return min(decay, num_updates / (num_updates + 9))
