"""What must hold before an update and at the end: finite loss and gradients on every process, and no update missing."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from components.training.ranks import place, summed


class NonFiniteError(FloatingPointError):
    """Loss or gradient became infinite or undefined; the weights are those of the last good update."""

    exit_code = 1  # for a person to mend: the same again gives the same


class IncompleteTrainingError(RuntimeError):
    """Training ended without an error before all planned updates were done."""


@dataclass(frozen=True)
class Votes:
    """What all processes said before an update: the mean of their losses, how many had what.

    `loss` is over the processes whose own is finite, and NaN if there is none.
    """

    loss: float
    num_bad_losses: int
    num_bad_gradients: int
    num_stops: int


def cast_votes(losses: Sequence[Float[Tensor, ""]], gradient_norm: Float[Tensor, ""], *, must_stop: bool) -> Votes:
    """Agree on this step, in one sum of five numbers and one reading of them.

    `losses` are those of this process's forward passes since the last update.
    """
    own = torch.stack([loss.float() for loss in losses]).mean()
    is_finite = torch.isfinite(own)
    ballot = torch.stack(
        [
            torch.where(is_finite, own, 0.0),
            is_finite.float(),
            (~is_finite).float(),
            (~torch.isfinite(gradient_norm)).float().to(own.device),
            torch.full_like(own, float(must_stop)),
        ]
    )
    total, num_finite, num_bad_losses, num_bad_gradients, num_stops = summed(ballot).tolist()
    loss = total / num_finite if num_finite else math.nan
    return Votes(loss, round(num_bad_losses), round(num_bad_gradients), round(num_stops))


@torch.no_grad()
def gradient_norm(parameters: Iterable[nn.Parameter]) -> Float[Tensor, ""]:
    """The norm of all gradients as one vector, over all shards; not finite if any element is not."""
    norm = torch.nn.utils.get_total_norm([weight.grad for weight in parameters if weight.grad is not None])
    # Of sharded gradients it is a DTensor, which knows how to become whole.
    return cast(Any, norm).full_tensor() if hasattr(norm, "full_tensor") else norm


def groups_not_finite(gradients: Mapping[str, Tensor | None]) -> list[str]:
    """The groups of weights with a gradient that is not finite in any process; every process must ask."""
    local = [cast(Any, g).to_local() if hasattr(g, "to_local") else g for g in gradients.values()]
    is_bad = [g is not None and not bool(torch.isfinite(g).all()) for g in local]
    device = next((g.device for g in local if g is not None), torch.device("cpu"))
    totals = summed(torch.tensor(is_bad, dtype=torch.float32, device=device)).tolist()
    return sorted({group_of(name) for name, total in zip(gradients, totals, strict=True) if total})


def group_of(name: str) -> str:
    """The part of the network that a weight belongs to: up to its block's number, or its layer.

    `transformer.layers.3.mlp.weight` is of `transformer.layers.3`, `transformer.norm.weight` of `transformer.norm`.
    """
    parts = name.split(".")
    numbered = next((place for place, part in enumerate(parts) if part.isdigit()), None)
    return ".".join(parts[:-1] if numbered is None else parts[: numbered + 1]) or name


def describe(votes: Votes, terms: Mapping[str, float], groups: Sequence[str], images_seen: int, file: Path) -> str:
    """One line for a person: what is not finite, where it is written down, what to do."""
    named = ", ".join(f"{name} {value:.4g}" for name, value in terms.items())
    where = f" on {max(votes.num_bad_losses, votes.num_bad_gradients)} of {place()[1]} processes" * (place()[1] > 1)
    what = f"the loss is not finite{where}" if votes.num_bad_losses else f"the gradient is not finite{where}"
    if not votes.num_bad_losses:
        shown = ", ".join(groups[:4]) + f" and {len(groups) - 4} more" * (len(groups) > 4)
        what += f" in {shown}" if groups else ": its norm overflows"
    return (
        f"{what} after {images_seen} images ({named}); nothing was updated; {file} names the images; "
        "look at them or lower the learning rate"
    )


def check_complete(images_seen: int, planned: int) -> None:
    """IncompleteTrainingError unless exactly the planned number of images was trained on."""
    if images_seen != planned:
        raise IncompleteTrainingError(
            f"training ended after {images_seen} of {planned} planned images; run again to continue"
        )
