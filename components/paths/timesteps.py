"""The times of training: densities on (0, 1), and the shift towards noise that larger images need.

Source: Esser et al. 2024, arXiv:2403.03206, section 3.1 (logit-normal density) and section 5.3.2 (time shift).
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from components.paths.config import TimestepDensity
from components.paths.noise import normal_noise


def shift_time(u: Float[Tensor, " *shape"], shift: float) -> Float[Tensor, " *shape"]:
    """T = s u / (1 + (s - 1) u): increasing, 0 and 1 stay; s > 1 moves times towards noise, s = 1 changes nothing."""
    if shift <= 0:
        raise ValueError(f"shift must be positive, got {shift}")
    # Written so that u = 1 gives exactly 1.
    return shift * u / (1 - u + shift * u)


def draw_timesteps(density: TimestepDensity, generators: Sequence[torch.Generator]) -> Float[Tensor, " b"]:
    """One time in (0, 1) from `density` for each generator, in float32 on the CPU."""
    match density.kind:
        case "logit_normal":
            u = draw_logit_normal(density.mean, density.std, generators)
        case "uniform":
            u = draw_uniform(generators)
    return shift_time(u, density.shift)


def draw_logit_normal(mean: float, std: float, generators: Sequence[torch.Generator]) -> Float[Tensor, " b"]:
    """Times whose logit is normal with `mean` and `std`."""
    logits = mean + std * normal_noise(torch.empty(len(generators)), generators)
    # One by one: the last bit of torch's own sigmoid hangs on a number's place in the batch.
    return torch.tensor([1 / (1 + math.exp(-logit)) for logit in logits.tolist()])


def draw_uniform(generators: Sequence[torch.Generator]) -> Float[Tensor, " b"]:
    """Times uniform on (0, 1), at the middles of 2**23 cells: the ends, where conversions divide by 0, never occur."""
    drawn = [int(torch.randint(2**23, (), generator=one, device=one.device)) for one in generators]
    return (torch.tensor(drawn) + 0.5) / 2**23
