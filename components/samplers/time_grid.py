"""The times a sampler visits, from 1 (noise) to 0 (data)."""

import torch
from jaxtyping import Float
from torch import Tensor

from components.paths.timesteps import shift_time


def shifted_time_grid(num_sampling_steps: int, shift: float) -> Float[Tensor, " points"]:
    """The released grid: t_i = shift_time(1 - i / N) for i = 0..N, decreasing from 1 to 0, in float32.

    Source: ERNIE-Image's scheduler configuration; equal to diffusers' `FlowMatchEulerDiscreteScheduler`.
    """
    if num_sampling_steps < 1:
        raise ValueError(f"num_sampling_steps must be at least 1, got {num_sampling_steps}")
    u = torch.linspace(1, 0, num_sampling_steps + 1, dtype=torch.float64)
    return shift_time(u, shift).float()
