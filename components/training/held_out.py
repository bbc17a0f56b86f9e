"""The held-out loss: the same rows, the same times and the same noise at every look, so that curves compare.

Every process computes its share of the rows, and all of them then know the error of every row: the means are those that
one process would have computed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from components.data.buckets import Bucket
from components.data.latents import LatentStore
from components.models.denoiser import Denoiser, TextCondition
from components.objectives.flow_matching import velocity_error
from components.training.batches import condition_of
from components.training.config import HeldOutConfig
from components.training.ranks import shares, summed

MAX_BATCH = 128
MIN_CATEGORY_ROWS = 4
"""A category with fewer rows has no curve of its own: it would show which rows these are, not how the model does."""


@dataclass(frozen=True)
class HeldOutSplit:
    """One split's fixed problem in one bucket: latents, texts, noise, times, and row and category of each."""

    name: str
    bucket: str
    x_0: Float[Tensor, "n c h w"]
    condition: TextCondition
    eps: Float[Tensor, "n c h w"]
    t: Float[Tensor, " n"]
    rows: NDArray[np.int64]
    categories: tuple[str, ...]


def fix_problems(
    stores: Mapping[Bucket, LatentStore], config: HeldOutConfig, kinds: tuple[str, ...]
) -> list[HeldOutSplit]:
    """One problem per split and bucket that has rows, training included for comparison.

    A row stands with each of its captions of these kinds. What is taken of these is spread evenly over the split, and
    times evenly over (0, 1), over all its buckets together.
    """
    problems: list[HeldOutSplit] = []
    for name in sorted({split for store in stores.values() for split in store.rows.column("split").to_pylist()}):
        chosen = _spread_rows(stores, name, kinds, config.rows_per_split)
        count = sum(len(rows) for rows, _ in chosen.values())
        generator = torch.Generator().manual_seed(config.seed)
        latents = {b: torch.from_numpy(stores[b].latents[rows]).float() for b, (rows, _) in chosen.items()}
        noise = {bucket: torch.randn(x_0.shape, generator=generator) for bucket, x_0 in latents.items()}
        # Shuffled, so that a time is not tied to a place in the table (one style follows another there).
        times = ((torch.arange(count) + 0.5) / count)[torch.randperm(count, generator=generator)]
        sizes = [len(rows) for rows, _ in chosen.values()]
        for (bucket, (rows, texts)), t in zip(chosen.items(), times.split(sizes), strict=True):
            categories = tuple(stores[bucket].rows.column("category").take(rows).to_pylist())
            condition = condition_of(stores[bucket], texts)
            x_0, eps = latents[bucket], noise[bucket]
            problems.append(HeldOutSplit(name, str(bucket), x_0, condition, eps, t, rows, categories))
    return problems


def _spread_rows(
    stores: Mapping[Bucket, LatentStore], split: str, kinds: Sequence[str], rows_per_split: int
) -> dict[Bucket, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows of the split and a text of each, evenly spread over the buckets and kinds of caption as one list."""
    pool = [
        (bucket, row, int(store.captions[kind][row]))
        for bucket, store in stores.items()
        for row in store.rows_of(split).tolist()
        for kind in kinds
        if store.captions[kind][row] >= 0
    ]
    places = np.linspace(0, len(pool) - 1, min(len(pool), rows_per_split)).round().astype(int).tolist()
    chosen = dict[Bucket, list[tuple[int, int]]]()
    for bucket, row, text in (pool[place] for place in places):
        chosen.setdefault(bucket, []).append((row, text))
    return {bucket: (pairs[:, 0], pairs[:, 1]) for bucket, found in chosen.items() for pairs in (np.array(found),)}


def main_kind(caption_weights: Mapping[str, float]) -> str:
    """The kind of caption that is drawn most often."""
    return max(caption_weights, key=lambda kind: caption_weights[kind])


def held_out_losses(denoiser: Denoiser, problems: list[HeldOutSplit], max_batch: int = MAX_BATCH) -> dict[str, float]:
    """Mean velocity error per split, and below it per category and bucket; every process must ask.

    The names are `split`, `split/category` for categories with enough rows, and `split/bucket` where there are several.
    `max_batch` bounds the rows of one forward pass.
    """
    errors = [row_errors(denoiser, problem, max_batch) for problem in problems]
    losses: dict[str, float] = {}
    for name in dict.fromkeys(problem.name for problem in problems):
        parts = [(problem, error) for problem, error in zip(problems, errors, strict=True) if problem.name == name]
        values = np.concatenate([error for _, error in parts])
        labels = np.array([category for problem, _ in parts for category in problem.categories], dtype=object)
        shown = {
            (category, problem.bucket, row)
            for problem, _ in parts
            for category, row in zip(problem.categories, problem.rows.tolist(), strict=True)
        }
        losses[name] = float(values.mean())
        for category, num_rows in sorted(Counter(category for category, _, _ in shown).items()):
            if category and num_rows >= MIN_CATEGORY_ROWS:
                losses[f"{name}/{category}"] = float(values[labels == category].mean())
        if len({problem.bucket for problem in problems}) > 1:
            losses |= {f"{name}/{problem.bucket}": float(error.mean()) for problem, error in parts}
    return losses


@torch.no_grad()
def row_errors(denoiser: Denoiser, problem: HeldOutSplit, max_batch: int) -> NDArray[np.float64]:
    """The velocity error of each row, each computed by one of the processes."""
    device = next(denoiser.parameters()).device
    errors = torch.zeros(len(problem.t), dtype=torch.float64, device=device)
    for rows, is_padding in shares(len(problem.t), max_batch):
        found = velocity_error(
            denoiser,
            TextCondition(problem.condition.states[rows].to(device), problem.condition.lengths[rows].to(device)),
            problem.x_0[rows].to(device),
            problem.eps[rows].to(device),
            problem.t[rows].to(device),
        )
        errors.index_add_(0, rows.to(device), torch.where(is_padding.to(device), 0.0, found.double()))
    return summed(errors).cpu().numpy()
