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
