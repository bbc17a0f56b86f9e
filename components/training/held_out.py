"""The held-out loss: the same rows, the same times and the same noise at every look, so that curves compare."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from components.data.latents import LatentStore
from components.models.denoiser import Denoiser, TextCondition
from components.objectives.flow_matching import velocity_error
from components.training.batches import condition_of
from components.training.config import HeldOutConfig

_BATCH = 128


@dataclass(frozen=True)
class HeldOutSplit:
    """One split's fixed problem: latents, texts, noise, and times spread evenly over (0, 1)."""

    name: str
    x_0: Float[Tensor, "n c h w"]
    condition: TextCondition
    eps: Float[Tensor, "n c h w"]
    t: Float[Tensor, " n"]


def fix_problems(store: LatentStore, config: HeldOutConfig, caption_kind: str) -> list[HeldOutSplit]:
    """One problem per split that has rows, training included for comparison; rows are spread evenly over the split."""
    problems: list[HeldOutSplit] = []
    for name in sorted(set(store.rows.column("split").to_pylist())):
        rows = store.rows_of(name)
        rows = rows[store.captions[caption_kind][rows] >= 0]
        if not len(rows):
            continue
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), config.rows_per_split)).round().astype(int)]
        generator = torch.Generator().manual_seed(config.seed)
        x_0 = torch.from_numpy(store.latents[rows]).float()
        eps = torch.randn(x_0.shape, generator=generator)
        # Shuffled, so that a time is not tied to a place in the table (one style follows another there).
        t = ((torch.arange(len(rows)) + 0.5) / len(rows))[torch.randperm(len(rows), generator=generator)]
        texts = store.captions[caption_kind][rows]
        problems.append(HeldOutSplit(name, x_0, condition_of(store, texts), eps, t))
    return problems


@torch.no_grad()
def held_out_losses(denoiser: Denoiser, problems: list[HeldOutSplit]) -> dict[str, float]:
    """Mean velocity error per split, under the split's name."""
    losses: dict[str, float] = {}
    for problem in problems:
        errors: list[Tensor] = []
        for start in range(0, len(problem.t), _BATCH):
            part = slice(start, start + _BATCH)
            condition = TextCondition(problem.condition.states[part], problem.condition.lengths[part])
            errors.append(velocity_error(denoiser, condition, problem.x_0[part], problem.eps[part], problem.t[part]))
        losses[problem.name] = float(torch.cat(errors).mean())
    return losses
