"""Settings of a language model's training, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass
from typing import Literal

from components.models.config import LoraShape
from components.training.config import OptimiserConfig


@dataclass(frozen=True)
class LanguageTraining:
    """Everything that decides the result of a language model's training but its texts and its start.

    A row of `max_tokens` holds as many examples as fit; rows count as images. `held_out_every_rows` says how often the
    held-out texts are looked at.
    """

    num_rows: int
    batch_size: int
    max_tokens: int
    optimiser: OptimiserConfig
    ema_decay: float
    precision: Literal["32-true", "bf16-mixed"]
    lora: LoraShape | None
    held_out_every_rows: int
    seed: int

    def __post_init__(self) -> None:
        if min(self.batch_size, self.num_steps, self.max_tokens, self.held_out_every_rows) < 1:
            raise ValueError(
                f"batch_size, max_tokens and held_out_every_rows must be at least 1 and num_rows at least a batch, got "
                f"{self.batch_size}, {self.max_tokens}, {self.held_out_every_rows} and {self.num_rows}"
            )

    @property
    def num_steps(self) -> int:
        """Updates of the run: whole batches only."""
        return self.num_rows // self.batch_size
