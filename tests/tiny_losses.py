"""The preference loss with its anchors, and what it is tried on: random outputs of networks on three small pairs."""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from components.objectives.config import PreferenceLoss
from components.objectives.outcome import Outcome
from components.objectives.preference import PairVelocities, preference_outcome
from components.paths.config import TimestepDensity
from components.paths.noise import generators_from

UNIFORM = TimestepDensity(kind="uniform", mean=0.0, std=1.0, shift=1.0)
ANCHORED = PreferenceLoss(
    beta=0.05,
    dpo_weight=1.0,
    win_anchor=0.35,
    lose_anchor=0.15,
    dpo_reduction="sum",
    anchor_reduction="mean",
    winner_preserving=None,
    auto_beta=None,
    output_anchor=0.0,
    dpop=0.0,
    margin_dropout=0.0,
)
SHAPE = (3, 2, 2, 2)
SIZE = 8
REDUCTIONS = list(product(("sum", "mean"), repeat=2))
ALL = torch.ones(3, dtype=torch.bool)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def velocities(seed: int = 0) -> PairVelocities:
    """Random outputs of three pairs whose images have much in common; those of the policy ask for gradients."""
    policy, reference, target = (
        noise(1, *SHAPE, seed=3 * seed + k) + noise(2, *SHAPE, seed=100 + 3 * seed + k) for k in range(3)
    )
    return PairVelocities(policy.requires_grad_(), reference, target)


def linear(weight: Tensor) -> Callable[[Tensor, Tensor, None], Tensor]:
    """A small network: one matrix over channels, and time."""

    def model(x: Tensor, t: Tensor, condition: None) -> Tensor:
        return torch.einsum("bchw,dc->bdhw", x, weight) * (1 + t.reshape(-1, 1, 1, 1))

    return model


def outcome_of_linear(weight: Tensor, reference: Tensor, config: PreferenceLoss, beta: float = 0.05) -> Outcome:
    return preference_outcome(
        linear(weight), linear(reference), None, noise(*SHAPE), noise(*SHAPE, seed=1), UNIFORM,
        generators_from(range(3)), config, beta,
    )  # fmt: skip


def mean_errors(seen: PairVelocities) -> list[Tensor]:
    """E_w(theta), E_l(theta), E_w(ref), E_l(ref): means over a sample's elements."""
    return [
        ((said - seen.target) ** 2).mean(dim=(2, 3, 4))[k] for said in (seen.policy, seen.reference) for k in (0, 1)
    ]
