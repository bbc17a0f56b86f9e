"""Weights of the objectives' terms, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass
from typing import Literal

Reduction = Literal["sum", "mean"]
"""How squared errors become one number per sample: over D elements the sum is D times the mean."""


@dataclass(frozen=True)
class ReconstructionWeights:
    """Weights of the terms of `reconstruction.reconstruction_terms`, under the terms' names."""

    l1: float
    half_l1: float
    gradient_l1: float
    kl: float
    coarse_l1: float


@dataclass(frozen=True)
class AutoBeta:
    """Beta that follows the margins, so that the mean gradient factor stays near `target`, in (0, 0.5).

    `decay` is that of the running mean of |margin|; beta stays within `low` and `high`.
    """

    target: float
    decay: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (0 < self.target < 0.5 and 0 <= self.decay < 1 and 0 < self.low <= self.high):
            raise ValueError(f"want 0 < target < 0.5, 0 <= decay < 1 and 0 < low <= high, got {self}")


@dataclass(frozen=True)
class PreferenceLoss:
    """Weights and options of `preference.preference_outcome`; what the two reductions decide is told there.

    `dpo_weight` 0 leaves only the anchors. `winner_preserving` is the mu of Diffusion-SDPO, in [0, 1], None to leave it
    out. `output_anchor` weighs the squared distance of the outputs to the reference's, `dpop` the penalty for a winner
    that got worse. `margin_dropout` is the share of pairs whose DPO term is left out while their anchors stay.
    """

    beta: float
    dpo_weight: float
    win_anchor: float
    lose_anchor: float
    dpo_reduction: Reduction
    anchor_reduction: Reduction
    winner_preserving: float | None
    auto_beta: AutoBeta | None
    output_anchor: float
    dpop: float
    margin_dropout: float

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise ValueError(f"beta must be positive, got {self.beta}")
        for name in ("dpo_weight", "win_anchor", "lose_anchor", "output_anchor", "dpop"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.winner_preserving is not None and not 0 <= self.winner_preserving <= 1:
            raise ValueError(f"winner_preserving must be in [0, 1] or null, got {self.winner_preserving}")
        if not 0 <= self.margin_dropout < 1:
            raise ValueError(f"margin_dropout must be in [0, 1), got {self.margin_dropout}")
