"""How images are drawn, as plain values."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingConfig:
    """Steps and guidance; `batch_size` bounds memory and changes the numbers only by rounding."""

    num_sampling_steps: int
    guidance_scale: float
    batch_size: int

    @property
    def num_evaluations(self) -> int:
        """How often the network runs for one image: guidance takes a second run of each step."""
        return self.num_sampling_steps * (1 if self.guidance_scale == 1 else 2)
