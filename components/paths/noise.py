"""Random numbers for a batch, each sample from a generator of its own.

So what a sample draws does not depend on which other samples are in the batch: ranks and micro-batches that share a
batch draw what one process would. Every generator is asked in the same order, so draws must not be swapped.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def normal_noise(like: Float[Tensor, " b *rest"], generators: Sequence[torch.Generator]) -> Float[Tensor, " b *rest"]:
    """Independent N(0, 1) of the shape, type and device of `like`, drawn where the generators are.

    ValueError if there is not one generator per sample.
    """
    if len(generators) != len(like):
        raise ValueError(f"there are {len(generators)} generators for {len(like)} samples; give one to each")
    shape = like.shape[1:]
    drawn = [torch.randn(shape, generator=one, dtype=like.dtype, device=one.device) for one in generators]
    return torch.stack(drawn).to(like.device) if drawn else torch.empty_like(like)


def generators_from(seeds: Sequence[int]) -> list[torch.Generator]:
    """One generator on the CPU per seed; of a seed, torch's generator on the CPU uses the last 32 bits."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]
