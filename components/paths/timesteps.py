"""The times of training: densities on (0, 1), and the shift towards noise that larger images need.

Source: Esser et al. 2024, arXiv:2403.03206, section 3.1 (logit-normal density) and section 5.3.2 (time shift).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from components.paths.config import TimestepDensity


def shift_time(u: Float[Tensor, " *shape"], shift: float) -> Float[Tensor, " *shape"]:
    """T = s u / (1 + (s - 1) u): increasing, 0 and 1 stay; s > 1 moves times towards noise, s = 1 changes nothing."""
    if shift <= 0:
        raise ValueError(f"shift must be positive, got {shift}")
    # Written so that u = 1 gives exactly 1.
    return shift * u / (1 - u + shift * u)


def draw_timesteps(density: TimestepDensity, count: int, generator: torch.Generator) -> Float[Tensor, " count"]:
    """`count` independent times in (0, 1) from `density`, in float32."""
    match density.kind:
        case "logit_normal":
            u = draw_logit_normal(density.mean, density.std, count, generator)
        case "uniform":
            u = draw_uniform(count, generator)
    return shift_time(u, density.shift)


def draw_logit_normal(mean: float, std: float, count: int, generator: torch.Generator) -> Float[Tensor, " count"]:
    """Times whose logit is normal with `mean` and `std`."""
    return torch.sigmoid(mean + std * torch.randn(count, generator=generator))


def draw_uniform(count: int, generator: torch.Generator) -> Float[Tensor, " count"]:
    """Times uniform on (0, 1), at the middles of 2**23 cells: the ends, where conversions divide by 0, never occur."""
    return (torch.randint(2**23, (count,), generator=generator) + 0.5) / 2**23
