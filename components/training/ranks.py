"""This process among those of the run: its place, its share of rows, and what all of them add up to.

Alone, its share is everything and a sum is the value itself.
"""

from collections.abc import Iterator

import torch
import torch.distributed as dist
from jaxtyping import Bool, Int, Shaped
from torch import Tensor


def place() -> tuple[int, int]:
    """The number of this process and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def summed(values: Shaped[Tensor, " *shape"]) -> Shaped[Tensor, " *shape"]:
    """The sum over all processes, in place; every process must ask, with the same shape."""
    if place()[1] > 1:
        dist.all_reduce(values)
    return values


def shares(count: int, max_batch: int) -> Iterator[tuple[Int[Tensor, " b"], Bool[Tensor, " b"]]]:
    """This process's part of `count` rows, in batches of at most `max_batch`, and which of them only fill up.

    Every process gets batches of the same sizes: where weights are sharded, each forward pass needs all processes.
    """
    rank, world_size = place()
    share = -(-count // world_size)
    for start in range(0, share, max_batch):
        rows = rank + world_size * torch.arange(start, min(start + max_batch, share))
        yield rows.clamp(max=count - 1), rows >= count


def mean_terms(terms: dict[str, Tensor]) -> dict[str, float]:
    """The terms' means over all processes, which hold equal parts of the batch; every process must ask."""
    means = summed(torch.stack(list(terms.values())).double()) / place()[1]
    return dict(zip(terms, means.tolist(), strict=True))
