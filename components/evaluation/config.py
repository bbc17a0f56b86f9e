"""Settings of the judges, as plain values."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RetrievalConfig:
    """The in-house two-tower model: width of the joint space, training and regularisation."""

    width: int
    num_steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    feature_dropout: float


@dataclass(frozen=True)
class SamplingConfig:
    """How the judged images are drawn; `batch_size` bounds memory and changes the numbers only by rounding."""

    num_sampling_steps: int
    guidance_scale: float
    batch_size: int
