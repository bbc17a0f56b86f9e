"""The reward option of distillation, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RewardConfig:
    """`weight` of the term; 0 leaves it out. From one state `branches` continuations are drawn and judged.

    `freshness`, in (0, 1], is the share of a state's noise that is drawn anew for each branch: at 1 nothing of the
    predicted noise stays, and what a step tries is what re-noising would have drawn.
    """

    weight: float
    branches: int
    freshness: float

    def __post_init__(self) -> None:
        if self.weight < 0 or self.branches < 2 or not 0 < self.freshness <= 1:
            raise ValueError(f"want weight >= 0, branches >= 2 and freshness in (0, 1], got {self}")
