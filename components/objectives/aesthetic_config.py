"""How a model of taste is taught, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AestheticLoss:
    """Cross-entropy on soft scores, and a ranking loss on comparisons.

    Args:
        spread: standard deviation of the Gaussian around a score, in levels; 100 / 9 levels are a tier.
        ranking_weight: of the ranking loss beside the cross-entropy, 0 or more.
        ranking_scale: the difference of two scores, in levels, at which the better one is chosen e times as often.
    """

    spread: float
    ranking_weight: float
    ranking_scale: float

    def __post_init__(self) -> None:
        if min(self.spread, self.ranking_scale) <= 0 or self.ranking_weight < 0:
            raise ValueError(f"spread and ranking_scale must be above 0 and ranking_weight not below, got {self}")
