"""The committee of teachers as plain values: who counts how much, for what, where. Reading it must not import torch.

Source: arXiv:2605.25347, section 2.2.3: experts by objective, noise level and the prompt's meaning.
"""

from dataclasses import dataclass
from typing import Literal

Role = Literal["dm", "ca"]
Band = Literal["high", "middle", "low"]


@dataclass(frozen=True)
class CommitteeConfig:
    """Who teaches what: for each role (distribution matching, guidance), domain and noise band a weight per expert.

    Weights are at least 0 and sum to 1. `bands` are the levels below which noise is low and above which it is high; the
    domain `general` serves prompts of domains that a table does not name.
    """

    experts: tuple[str, ...]
    bands: tuple[float, float]
    general: str
    weights: dict[Role, dict[str, dict[Band, tuple[float, ...]]]]

    def __post_init__(self) -> None:
        if not self.experts or len(set(self.experts)) < len(self.experts):
            raise ValueError(f"experts must be at least one, each named once, got {self.experts}")
        if not 0 < self.bands[0] < self.bands[1] < 1:
            raise ValueError(f"bands must rise between 0 and 1, got {self.bands}")
        for role in ("dm", "ca"):
            if self.general not in self.weights.get(role, {}):
                raise ValueError(f"the weights of {role} lack the domain {self.general!r}, which serves all others")
            for domain, of_bands in self.weights[role].items():
                self._check_bands(f"{role}.{domain}", of_bands)

    def band(self, t: float) -> Band:
        """The band of a noise level."""
        return "low" if t < self.bands[0] else "middle" if t <= self.bands[1] else "high"

    def _check_bands(self, where: str, of_bands: dict[Band, tuple[float, ...]]) -> None:
        for band in ("high", "middle", "low"):
            row = of_bands.get(band, ())
            if len(row) != len(self.experts) or min(row) < 0 or abs(sum(row) - 1) > 1e-6:
                raise ValueError(
                    f"weights of {where}.{band} are {row}; allowed: {len(self.experts)} numbers of at least 0, of sum 1"
                )
