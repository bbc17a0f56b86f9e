"""Settings of an Aes head's training, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass

from components.objectives.aesthetic_config import AestheticLoss
from components.training.config import OptimiserConfig


@dataclass(frozen=True)
class AestheticTraining:
    """Everything that decides the result of a head's training but its pairs of pictures, which count as images."""

    num_pairs: int
    batch_size: int
    loss: AestheticLoss
    optimiser: OptimiserConfig
    ema_decay: float
    held_out_every_pairs: int
    seed: int

    def __post_init__(self) -> None:
        if min(self.batch_size, self.num_steps, self.held_out_every_pairs) < 1:
            raise ValueError(
                f"batch_size and held_out_every_pairs must be at least 1 and num_pairs at least a batch, got "
                f"{self.batch_size}, {self.held_out_every_pairs} and {self.num_pairs}"
            )

    @property
    def num_steps(self) -> int:
        """Updates of the run: whole batches only."""
        return self.num_pairs // self.batch_size
