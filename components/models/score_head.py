"""A score from 0 to 100 as a distribution over 101 levels: the head on a frozen network's features.

The head is linear; its expectation is the score. For a vision language model the features are the logits of its 101
score tokens, and the head that changes nothing (`identity_head`) reads them as they are.

Source: Talebi and Milanfar 2018, arXiv:1709.05424 (scores as distributions); Cao et al. 2025, arXiv:2507.14533 (101
levels, score as token).
"""

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from components.models.denoiser import Denoiser
from components.models.linear_probe import LinearProbe

LEVELS = 101
CLASSES = tuple(str(level) for level in range(LEVELS))


class ScoreHead(Denoiser):
    """Logits over the levels from features, which are standardised by `mean` and `std` first; starts at 0.

    A `Denoiser` in name only: that is what the core of the trainings calls the network it trains.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Float[Tensor, " d"], std: Float[Tensor, " d"], start: LinearProbe | None = None) -> None:
        nn.Module.__init__(self)
        self.compute_dtype = None
        self.register_buffer("mean", mean.float())
        self.register_buffer("std", std.float())
        self.linear = nn.Linear(len(mean), LEVELS)
        weight = torch.zeros(LEVELS, len(mean)) if start is None else torch.from_numpy(start.weight)
        bias = torch.zeros(LEVELS) if start is None else torch.from_numpy(start.bias)
        with torch.no_grad():
            self.linear.weight.copy_(weight * self.std)
            self.linear.bias.copy_(bias + weight @ self.mean)

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] - it reads features
        self, features: Float[Tensor, "*b d"]
    ) -> Float[Tensor, "*b 101"]:
        """Unnormalised log probabilities of the levels."""
        return self.linear((features.float() - self.mean) / self.std).float()

    def compute_in(self, dtype: torch.dtype | None) -> None:
        """Nothing is to be set: a head this small computes in its weights' precision."""

    def probe(self) -> LinearProbe:
        """The head as it is kept: weights that take the features as they are."""
        with torch.no_grad():
            weight = self.linear.weight.double().cpu() / self.std.double().cpu()
            bias = self.linear.bias.double().cpu() - weight @ self.mean.double().cpu()
        return LinearProbe(CLASSES, weight.numpy().astype(np.float32), bias.numpy().astype(np.float32))


def identity_head() -> LinearProbe:
    """The head whose logits are its features."""
    return LinearProbe(CLASSES, np.eye(LEVELS, dtype=np.float32), np.zeros(LEVELS, np.float32))


def expectation(distribution: Float[np.ndarray, "n 101"]) -> Float32[np.ndarray, " n"]:
    """The mean level of each row, in [0, 100]."""
    return (distribution @ np.arange(LEVELS, dtype=np.float64)).clip(0, LEVELS - 1).astype(np.float32)


def score(
    head: LinearProbe, features: Float[np.ndarray, "n d"]
) -> tuple[Float32[np.ndarray, " n"], Float32[np.ndarray, "n 101"]]:
    """The expected score of each row, in [0, 100], and the distribution over the levels 0 to 100."""
    distribution = head.predict_proba(features)
    return expectation(distribution), distribution
