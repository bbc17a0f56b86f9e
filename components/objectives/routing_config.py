"""Settings of a committee's fitted weights, as plain values: reading parameters must not import torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RouterFit:
    """How the weights of a committee are fitted to training images before a distillation.

    Args:
        num_images: training images, each with one noise and one noise level.
        pull: towards the declared weights, where experts hardly differ; without a unit.
        min_samples: images that a domain needs in a noise band; with fewer, the declared weights stay.
        seed: of images, noise and noise levels.
    """

    num_images: int
    pull: float
    min_samples: int
    seed: int

    def __post_init__(self) -> None:
        if min(self.num_images, self.min_samples) < 1 or self.pull <= 0:
            raise ValueError(f"num_images, min_samples and pull of the router must be positive, got {self}")
