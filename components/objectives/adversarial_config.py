"""The adversarial option of distillation, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AdversarialConfig:
    """Weights of the student's term and of the head's; the head reads the teacher's features behind `block`, from 0.

    `r1_weight` is that of the approximate R1 within the head's terms, `r1_sigma` how far it disturbs real data.
    """

    generator_weight: float
    head_weight: float
    r1_weight: float
    r1_sigma: float
    block: int

    def __post_init__(self) -> None:
        if min(self.generator_weight, self.r1_weight) < 0 or min(self.head_weight, self.r1_sigma) <= 0:
            raise ValueError(f"want generator_weight, r1_weight >= 0 and head_weight, r1_sigma > 0, got {self}")
        if self.block < 0:
            raise ValueError(f"block {self.block} of the teacher; allowed: 0 for the first one, and up")
