"""How images are drawn, as plain values."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingConfig:
    """Steps and guidance; `batch_size` bounds memory and changes the numbers only by rounding."""

    num_sampling_steps: int
    guidance_scale: float
    batch_size: int
