"""Whether the grid that a few-step model is trained on is the one that the exported pipeline will visit."""

import torch
from jaxtyping import Float
from torch import Tensor

from components.models.diffusers_layout import exported_time_grid
from components.samplers.time_grid import shifted_time_grid


def check_grid(num_sampling_steps: int, shift: float, time_grid: Float[Tensor, " points"] | None = None) -> None:
    """ValueError, in one line, where `time_grid` is not the exporter's; left out, it is our own of these numbers."""
    ours = shifted_time_grid(num_sampling_steps, shift) if time_grid is None else time_grid
    theirs = exported_time_grid(num_sampling_steps, shift)
    if ours.shape != theirs.shape or not torch.allclose(ours, theirs, rtol=0, atol=1e-5):
        trained, exported = (", ".join(f"{t:.4g}" for t in grid.tolist()) for grid in (ours, theirs))
        raise ValueError(
            f"the grid of steps ({trained}) is not the one of the exported scheduler with {num_sampling_steps} steps "
            f"and shift {shift} ({exported}); train on the exported one, or the model is drawn as it never was"
        )
