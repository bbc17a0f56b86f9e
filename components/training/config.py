"""Settings of the training loops, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass

from components.objectives.config import ReconstructionWeights


@dataclass(frozen=True)
class ResolutionShare:
    """How often a training step uses images of `side_px`, and how many at a time; shares are relative."""

    side_px: int
    batch_size: int
    share: float


@dataclass(frozen=True)
class AutoencoderTraining:
    """How the autoencoder is trained. The learning rate rises for `warmup_steps`, then falls to 0 on half a cosine.

    `latent_noise` is the largest standard deviation of the extra noise the decoder learns to overlook.
    """

    steps: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    gradient_clip: float
    latent_noise: float
    resolutions: tuple[ResolutionShare, ...]
    weights: ReconstructionWeights
    seed: int

    def __post_init__(self) -> None:
        if not self.resolutions or any(r.side_px % 16 or r.share <= 0 for r in self.resolutions):
            raise ValueError(f"resolutions need positive shares and sides in multiples of 16, got {self.resolutions}")
