"""Training of a language model to give the answers of packed examples: the core's loop on rows of tokens."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from components.data.buckets import Bucket
from components.data.order import Rounds, order_key
from components.models.denoiser import TextCondition
from components.models.language_model import LanguageModel, TokenRows
from components.objectives.next_token import next_token
from components.objectives.outcome import Outcome
from components.training.batches import Batch, PositionSource
from components.training.callbacks import Every, HeldOutLosses, Look, Weights
from components.training.config import Execution
from components.training.fit import Surroundings, fit
from components.training.language_config import LanguageTraining
from components.training.module import DiffusionModule
from components.training.pretrain import HELD_OUT_BEFORE
from components.training.ranks import place, shares, summed
from components.training.reporting import Report
from components.training.strategies import spread

HELD_OUT = "held_out"
LOOKED_AT_ONCE = 16
"""Held-out rows in one forward pass."""


@dataclass(frozen=True)
class TokenBatch(Batch):
    """Rows of a step in a batch without pictures; `tokens_per_part` is as `next_token` takes it."""

    packed: TokenRows
    tokens_per_part: float

    def to(self, device: torch.device) -> "TokenBatch":
        """The same batch on `device`."""
        return replace(self, packed=self.packed.to(device))


class RowSource(PositionSource):
    """The rows of a run at any position: permutations of them, one after another.

    `names` are the rows' own, one each; ValueError where there is no row.
    """

    def __init__(self, packed: TokenRows, names: Sequence[str], batch_size: int, *, seed: int) -> None:
        if not names:
            raise ValueError("there is no row of text to train on; see the table of wishes")
        self.seed, self.batch_size = seed, batch_size
        self.manifest_hash = hashlib.sha256(packed.tokens.numpy().tobytes()).hexdigest()
        self._packed, self._names = packed, tuple(names)
        self._order = Rounds(np.ones(len(names)), order_key(self.manifest_hash, seed), len(names))
        self._answers = packed.is_answer.sum(dim=1).numpy()

    def at(self, start: int, count: int) -> TokenBatch:
        """The rows at the positions start, ..., start + count - 1, which must be of one step."""
        step, _ = self._place(start, count)
        rows = self._order.at(start, count)
        of_step = self._answers[self._order.at(step * self.batch_size, self.batch_size)].sum()
        return TokenBatch(
            x_0=torch.zeros(count, 0, 0, 0),
            condition=TextCondition(torch.zeros(count, 0, 0), torch.zeros(count, dtype=torch.int64)),
            rows=rows,
            texts=rows,
            start=start,
            generators=[],
            sample_ids=tuple(self._names[row] for row in rows.tolist()),
            bucket=Bucket(0, 0),
            packed=rows_of(self._packed, torch.from_numpy(rows)),
            tokens_per_part=float(of_step) * count / self.batch_size,
        )

    def names_at(self, start: int, count: int) -> tuple[str, ...]:
        """The rows' names."""
        return tuple(self._names[row] for row in self._order.at(start, count).tolist())


@dataclass(frozen=True)
class Learned:
    """The weights by name (raw, and their average), and what is worth keeping about how they came about.

    Perplexities are of the average, on the held-out rows, before the first step and after the last.
    """

    raw: dict[str, Tensor]
    averaged: dict[str, Tensor]
    rows_seen: int
    rows_per_s: float
    final_loss: float
    perplexity_before: float
    perplexity_after: float
    consumed: dict[str, str | int]


def learn(
    model: LanguageModel,
    source: RowSource,
    held_out: TokenRows,
    config: LanguageTraining,
    execution: Execution,
    surroundings: Surroundings,
) -> Learned:
    """Train `model` in place on the first `config.num_rows` of `source`. Raises as `fit` does."""
    how = spread(execution, config.precision, config.batch_size, config.optimiser.gradient_clip)
    if execution.activation_checkpointing:
        model.checkpoint_activations()
    module = DiffusionModule(
        model,
        lambda network, batch: answer_loss(network, cast(TokenBatch, batch)),
        source,
        config.optimiser,
        execution,
        precision=config.precision,
        batch_size=config.batch_size,
        num_steps=config.num_steps,
        ema_decay=config.ema_decay,
    )
    checkpoints = surroundings.checkpoints
    losses = HeldOutLosses(checkpoints.directory / HELD_OUT_BEFORE if checkpoints else None)
    look = report_perplexity(surroundings.report, held_out, losses)
    fitted = fit(
        module,
        how,
        execution,
        surroundings,
        lambda clock: [Every(config.held_out_every_rows, look, clock, weights=("averaged",))],
    )
    return Learned(
        raw=fitted.raw,
        averaged=fitted.averaged,
        rows_seen=module.images_seen,
        rows_per_s=fitted.images_per_s,
        final_loss=fitted.final_loss,
        perplexity_before=math.exp(losses.start[HELD_OUT]),
        perplexity_after=math.exp(losses.latest[HELD_OUT]),
        consumed=source.consumed(module.images_seen),
    )


def answer_loss(network: nn.Module, batch: TokenBatch) -> Outcome:
    """The objective on one batch."""
    return next_token(network(batch.packed), said(batch.packed), batch.tokens_per_part)


def said(packed: TokenRows) -> Tensor:
    """The answers' tokens, in the order of the model's logits."""
    return packed.tokens[:, 1:][packed.is_answer[:, 1:]]


def rows_of(packed: TokenRows, rows: Tensor) -> TokenRows:
    """Some of the rows."""
    return TokenRows(packed.tokens[rows], packed.positions[rows], packed.texts[rows], packed.is_answer[rows])


def report_perplexity(report: Report, held_out: TokenRows, losses: HeldOutLosses) -> Look:
    """A look that reports the perplexity on the held-out rows and leaves the mean loss in `losses`."""

    def look(network: nn.Module, rows_seen: int, weights: Weights) -> None:
        found = mean_loss(network, held_out)
        losses.take({HELD_OUT: found}, rows_seen)
        if place()[0] == 0:
            report.log_metrics({f"{HELD_OUT}/perplexity": math.exp(found)}, rows_seen)

    return look


@torch.no_grad()
def mean_loss(network: nn.Module, held_out: TokenRows) -> float:
    """Mean cross-entropy over the answers' tokens of the rows, in nats; every process takes its share and must ask."""
    device = next(network.parameters()).device
    totals = torch.zeros(2, dtype=torch.float64, device=device)
    for rows, is_padding in shares(len(held_out.tokens), LOOKED_AT_ONCE):
        part = rows_of(held_out, rows)
        part = replace(part, is_answer=part.is_answer & ~is_padding[:, None]).to(device)
        answers = said(part)
        totals += torch.stack(
            [
                functional.cross_entropy(network(part), answers, reduction="sum").double(),
                torch.tensor(float(len(answers)), dtype=torch.float64, device=device),
            ]
        )
    total, count = summed(totals).tolist()
    return total / count
