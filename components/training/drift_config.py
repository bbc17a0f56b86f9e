"""Settings of the watch over distillation, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DriftWatchConfig:
    """When a distillation is looked at beside its teacher, and what ends it early.

    Args:
        every_updates: updates of the student between two looks.
        min_diversity: share of the teacher's diversity, of any domain or of all, below which the student collapsed.
        max_saturation: how many times the teacher's colourfulness is too much; one over it is too little.
        max_quality_fall: by how much the alignment of all may fall from its best look, as a share.
        patience: looks in a row with a rising loss of the fake score, after which training ends; 0 never.
    """

    every_updates: int
    min_diversity: float
    max_saturation: float
    max_quality_fall: float
    patience: int

    def __post_init__(self) -> None:
        if self.every_updates < 1 or self.patience < 0:
            raise ValueError(f"every_updates must be at least 1 and patience at least 0, got {self}")
        if not 0 <= self.min_diversity < 1 or not self.max_saturation > 1:
            raise ValueError(f"min_diversity must be in [0, 1) and max_saturation above 1, got {self}")
        if not self.max_quality_fall >= 0:
            raise ValueError(f"max_quality_fall must not be negative, got {self}")
