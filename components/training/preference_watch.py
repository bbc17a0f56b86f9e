"""The watch over preference training: pairs it never trains on, and guards that end it early.

The published scripts blow up because the squared error has no bound: the loss falls while the loser's error, and then
the winner's, run away (arXiv:2605.25347, section 2.2.2). So at each look the errors of both are compared with those of
the reference on held-out pairs, at fixed times and noise, and pictures are judged beside those of the start.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from numpy.typing import NDArray
from torch import Tensor

from components.data.buckets import Bucket
from components.data.latents import LatentStore
from components.models.denoiser import Denoiser, TextCondition, repeated
from components.objectives.flow_matching import Model, velocity_error
from components.training.batches import condition_of
from components.training.config import WatchConfig
from components.training.pair_batches import CAPTION, PairRows
from components.training.ranks import shares, summed
from components.training.reporting import Report
from components.training.watch import Seen, Watch

MAX_BATCH = 64
BANDS: dict[str, tuple[float, float]] = {"low": (0.0, 0.5), "middle": (0.5, 0.8), "high": (0.8, 1.0)}
"""Ranges of noise levels, as recipe tables use them."""


@dataclass(frozen=True)
class PairProblem:
    """Held-out pairs of one bucket with fixed times and noise; winners and losers share both."""

    x_win: Float[Tensor, "n c h w"]
    x_lose: Float[Tensor, "n c h w"]
    condition: TextCondition
    eps: Float[Tensor, "n c h w"]
    t: Float[Tensor, " n"]
    pair: NDArray[np.int64]


def fix_pair_problems(
    buckets: Mapping[Bucket, LatentStore], rows: Mapping[Bucket, PairRows], visits: int, seed: int
) -> list[PairProblem]:
    """Each pair `visits` times, each time in another equal part of (0, 1), and with noise of its own."""
    generator = torch.Generator().manual_seed(seed)
    problems = list[PairProblem]()
    first = 0
    for bucket, pairs in rows.items():
        store, count = buckets[bucket], len(pairs)
        winners, losers = np.tile(pairs.winners, visits), np.tile(pairs.losers, visits)
        places = torch.stack([torch.randperm(count, generator=generator) for _ in range(visits)])
        t = (torch.arange(visits)[:, None] + (places + 0.5) / count) / visits
        x_win, x_lose = (torch.from_numpy(store.latents[one].astype(np.float32)) for one in (winners, losers))
        problems.append(
            PairProblem(
                x_win,
                x_lose,
                condition_of(store, store.captions[CAPTION][winners]),
                torch.randn(x_win.shape, generator=generator),
                t.flatten(),
                np.tile(np.arange(first, first + count), visits),
            )
        )
        first += count
    return problems


@dataclass(frozen=True)
class HeldOutErrors:
    """Mean velocity errors of each visit of each held-out pair, of the policy and the reference; its time; its pair."""

    win: NDArray[np.float64]
    lose: NDArray[np.float64]
    ref_win: NDArray[np.float64]
    ref_lose: NDArray[np.float64]
    t: NDArray[np.float64]
    pair: NDArray[np.int64]

    @property
    def margin(self) -> NDArray[np.float64]:
        """How much more than the reference the policy prefers the winner: of each pair the mean over its visits."""
        of_visits = (self.ref_win - self.win) - (self.ref_lose - self.lose)
        _, place, counts = np.unique(self.pair, return_inverse=True, return_counts=True)
        return np.bincount(place, of_visits) / counts

    def of(self, is_wanted: Bool[np.ndarray, " n"]) -> "HeldOutErrors":
        """Some of the visits."""
        win, lose, ref_win, ref_lose, t = (
            one[is_wanted] for one in (self.win, self.lose, self.ref_win, self.ref_lose, self.t)
        )
        return HeldOutErrors(win, lose, ref_win, ref_lose, t, self.pair[is_wanted])


@torch.no_grad()
def pair_errors(
    network: Model[TextCondition], problems: Sequence[PairProblem], max_batch: int, device: torch.device
) -> Float64[np.ndarray, "2 n"]:
    """A network's mean errors on winners and losers of all visits; each process computes its share, all must ask."""
    found = list[Tensor]()
    for problem in problems:
        errors = torch.zeros(2, len(problem.t), dtype=torch.float64, device=device)
        for rows, is_padding in shares(len(problem.t), max_batch):
            own = TextCondition(problem.condition.states[rows].to(device), problem.condition.lengths[rows].to(device))
            x_0 = torch.cat([problem.x_win[rows], problem.x_lose[rows]]).to(device)
            eps, t = problem.eps[rows].repeat(2, 1, 1, 1).to(device), problem.t[rows].repeat(2).to(device)
            values = velocity_error(network, repeated(own, 2), x_0, eps, t).double().reshape(2, -1)
            errors.index_add_(1, rows.to(device), torch.where(is_padding.to(device), 0.0, values))
        found.append(summed(errors).cpu())
    return torch.cat(found, dim=1).numpy()


def measures_of(errors: HeldOutErrors) -> dict[str, float]:
    """What the health panel shows of held-out pairs, over all noise levels and for each band that has some.

    `accuracy`: share of pairs with a positive margin, ties counting half (0.5 at the start); `win_ratio` and
    `lose_ratio`: the policy's mean error over the reference's; `margin`: mean, per element.
    """
    told: dict[str, float] = {}
    for band, (low, high) in {"": (0.0, 1.0), **BANDS}.items():
        part = errors.of((errors.t > low) & (errors.t <= high))
        if len(part.t):
            of_band = {
                "accuracy": float(np.mean((part.margin > 0) + 0.5 * (part.margin == 0))),
                "win_ratio": float(part.win.mean() / part.ref_win.mean()),
                "lose_ratio": float(part.lose.mean() / part.ref_lose.mean()),
                "margin": float(part.margin.mean()),
            }
            told |= {f"{band}/{name}" if band else name: value for name, value in of_band.items()}
    return told


DISTANCES = frozenset({"frechet"})
"""Qualities of which less is better; of all others more is."""

Quality = Callable[[Denoiser], Mapping[str, float]]
"""Judges pictures that a network draws: a value for each guardrail; every process calls it and gets the same."""


def why_to_end(looks: Sequence[Seen], guardrails: Sequence[str], config: WatchConfig) -> str:
    """Why training should end after the last of `looks`, for a person; "" if it should go on.

    Both errors above the reference's beyond `max_error_rise`; the winner's alone beyond it; a guardrail worse than at
    the first look by more than `max_quality_fall`; or no better accuracy for `patience` looks.
    """
    first, last = looks[0], looks[-1]
    if len(looks) == 1:
        return ""
    rise = 1 + config.max_error_rise
    if last["win_ratio"] > rise:
        what = "both errors rise" if last["lose_ratio"] > rise else "the winner's error rises"
        return (
            f"{what}: on held-out pairs the winner's is {last['win_ratio']:.3f} and the loser's "
            f"{last['lose_ratio']:.3f} times the reference's; lower the learning rate or beta, or raise the anchors"
        )
    for name in guardrails:
        before, now = first[name], last[name]
        worse = (now - before if name in DISTANCES else before - now) / max(abs(before), 1e-12)
        if worse > config.max_quality_fall:
            return f"{name} is {100 * worse:.1f} % worse than at the start ({before:.4g}, now {now:.4g})"
    accuracies = [look["accuracy"] for look in looks]
    best = int(np.argmax(accuracies))
    if config.patience and len(looks) - 1 - best >= config.patience:
        return f"the held-out accuracy has not risen for {config.patience} looks ({accuracies[best]:.3f} at best)"
    return ""


class PreferenceWatch(Watch):
    """Measures held-out pairs and judged pictures, and keeps the weights of the last look without a fault."""

    def __init__(
        self,
        problems: Sequence[PairProblem],
        reference: Model[TextCondition],
        quality: Quality,
        guardrails: Sequence[str],
        config: WatchConfig,
        report: Report,
        folder: Path | None,
        max_batch: int | None,
    ) -> None:
        super().__init__(report, folder, "health/")
        self._problems, self._reference, self._quality, self._guardrails = problems, reference, quality, guardrails
        self._config = config
        self._max_batch = max_batch or MAX_BATCH
        self._expected: Float64[np.ndarray, "2 n"] | None = None

    def measure(self, denoiser: Denoiser, images_seen: int) -> dict[str, Any]:
        """`measures_of` the held-out pairs, and the qualities of pictures."""
        return {**measures_of(self._errors(denoiser)), **self._quality(denoiser)}

    def why(self, looks: Sequence[Seen]) -> str:
        """See `why_to_end`."""
        return why_to_end(looks, self._guardrails, self._config)

    def _errors(self, denoiser: Denoiser) -> HeldOutErrors:
        device = next(denoiser.parameters()).device
        if self._expected is None:  # the reference says the same at every look
            self._expected = pair_errors(self._reference, self._problems, self._max_batch, device)
        times = torch.cat([problem.t for problem in self._problems]).double().numpy()
        pairs = np.concatenate([problem.pair for problem in self._problems])
        win, lose = pair_errors(denoiser, self._problems, self._max_batch, device)
        ref_win, ref_lose = self._expected
        return HeldOutErrors(win, lose, ref_win, ref_lose, times, pairs)
