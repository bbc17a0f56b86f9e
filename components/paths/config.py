"""How times are drawn in training, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TimestepDensity:
    """Density of the training times: `kind` draws u, then t is u shifted towards noise by `shift` (1 changes nothing).

    `mean` and `std` are those of the logit of u and are not used by "uniform".
    """

    kind: Literal["logit_normal", "uniform"]
    mean: float
    std: float
    shift: float

    def __post_init__(self) -> None:
        if self.shift <= 0 or self.std <= 0:
            raise ValueError(f"shift and std must be positive, got {self.shift} and {self.std}")
