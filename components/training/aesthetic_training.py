"""Training of an Aes head on pairs of pictures with scores: the core's loop on rows of features."""

import hashlib
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from components.data.buckets import Bucket
from components.data.order import Rounds, order_key
from components.models.denoiser import TextCondition
from components.models.linear_probe import LinearProbe
from components.models.score_head import ScoreHead
from components.objectives.aesthetic import aesthetic, score_loss
from components.objectives.aesthetic_config import AestheticLoss
from components.objectives.outcome import Outcome
from components.training.aesthetic_config import AestheticTraining
from components.training.batches import Batch, PositionSource
from components.training.callbacks import Every, HeldOutLosses, Look, Weights
from components.training.config import Execution
from components.training.fit import Surroundings, fit
from components.training.module import DiffusionModule
from components.training.pretrain import HELD_OUT_BEFORE
from components.training.reporting import Report
from components.training.strategies import spread

HELD_OUT = "held_out"
_STD_FLOOR = 1e-3


@dataclass(frozen=True)
class Rated:
    """Rows of features of pictures with their scores, in [0, 100]."""

    features: Float[np.ndarray, "n d"]
    scores: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Comparisons:
    """Pairs of rows, and the points of the first: 1 if it is better, 0 if it is worse, 0.5 for a tie."""

    rows: Int64[np.ndarray, "m 2"]
    points: Float[np.ndarray, " m"]


@dataclass(frozen=True)
class RatedBatch(Batch):
    """Pairs of a step in a batch without latents."""

    features: Float[Tensor, "b 2 d"]
    scores: Float[Tensor, "b 2"]
    points: Float[Tensor, " b"]

    def to(self, device: torch.device) -> "RatedBatch":
        """The same batch on `device`."""
        moved = {name: getattr(self, name).to(device) for name in ("features", "scores", "points")}
        return replace(self, **moved)


class ComparisonSource(PositionSource):
    """The comparisons of a run at any position: permutations of them, one after another.

    ValueError where there are none, or one of a row that is not there.
    """

    def __init__(self, rated: Rated, comparisons: Comparisons, batch_size: int, *, seed: int) -> None:
        if not len(comparisons.rows):
            raise ValueError("there is no comparison to train on; bring more labelled pictures")
        if comparisons.rows.min() < 0 or comparisons.rows.max() >= len(rated.scores):
            raise ValueError(f"a comparison is of a row beyond the {len(rated.scores)} that are there")
        self.seed, self.batch_size = seed, batch_size
        self.manifest_hash = _sha256(rated.features, rated.scores, comparisons.rows, comparisons.points)
        self._rated, self._comparisons = rated, comparisons
        count = len(comparisons.rows)
        self._order = Rounds(np.ones(count), order_key(self.manifest_hash, seed), count)

    def at(self, start: int, count: int) -> RatedBatch:
        """The comparisons at the positions start, ..., start + count - 1, which must be of one step."""
        self._place(start, count)
        places = self._order.at(start, count)
        rows = self._comparisons.rows[places]
        return RatedBatch(
            x_0=torch.zeros(count, 0, 0, 0),
            condition=TextCondition(torch.zeros(count, 0, 0), torch.zeros(count, dtype=torch.int64)),
            rows=places,
            texts=places,
            start=start,
            generators=[],
            sample_ids=self._names(places),
            bucket=Bucket(0, 0),
            features=torch.from_numpy(self._rated.features[rows].astype(np.float32)),
            scores=torch.from_numpy(self._rated.scores[rows].astype(np.float32)),
            points=torch.from_numpy(self._comparisons.points[places].astype(np.float32)),
        )

    def names_at(self, start: int, count: int) -> tuple[str, ...]:
        """The comparisons' numbers."""
        return self._names(self._order.at(start, count))

    def _names(self, places: Int64[np.ndarray, " m"]) -> tuple[str, ...]:
        return tuple(str(place) for place in places.tolist())


@dataclass(frozen=True)
class Learned:
    """The averaged head, and what is worth keeping about how it came about.

    Losses are of the averaged head on the held-out pictures (cross-entropy in nats), before the first step and after
    the last.
    """

    head: LinearProbe
    pairs_seen: int
    pairs_per_s: float
    final_loss: float
    held_out_before: float
    held_out_after: float
    consumed: dict[str, str | int]


def learn(
    source: ComparisonSource,
    train: Rated,
    held_out: Rated,
    start: LinearProbe | None,
    config: AestheticTraining,
    execution: Execution,
    surroundings: Surroundings,
) -> Learned:
    """Train a head, from `start` or from one that knows nothing, on the first `num_pairs` of `source`.

    Features are standardised as those of `train` ask for. Raises as `fit` does.
    """
    head = new_head(train, start)
    module = DiffusionModule(
        head,
        lambda network, batch: judge(network, cast(RatedBatch, batch), config.loss),
        source,
        config.optimiser,
        execution,
        precision="32-true",
        batch_size=config.batch_size,
        num_steps=config.num_steps,
        ema_decay=config.ema_decay,
    )
    checkpoints = surroundings.checkpoints
    losses = HeldOutLosses(checkpoints.directory / HELD_OUT_BEFORE if checkpoints else None)
    look = report_loss(surroundings.report, held_out, config.loss.spread, losses)
    how = spread(execution, "32-true", config.batch_size, config.optimiser.gradient_clip)
    fitted = fit(
        module,
        how,
        execution,
        surroundings,
        lambda clock: [Every(config.held_out_every_pairs, look, clock, weights=("averaged",))],
    )
    head.load_state_dict(fitted.averaged, strict=False)  # what standardises is no weight
    return Learned(
        head=head.probe(),
        pairs_seen=module.images_seen,
        pairs_per_s=fitted.images_per_s,
        final_loss=fitted.final_loss,
        held_out_before=losses.start[HELD_OUT],
        held_out_after=losses.latest[HELD_OUT],
        consumed=source.consumed(module.images_seen),
    )


def new_head(train: Rated, start: LinearProbe | None = None) -> ScoreHead:
    """A head that standardises features as those of `train` ask for, and says what `start` says, or nothing."""
    features = train.features.astype(np.float64)
    mean, std = features.mean(axis=0), features.std(axis=0) + _STD_FLOOR
    return ScoreHead(torch.from_numpy(mean), torch.from_numpy(std), start)


def judge(network: nn.Module, batch: RatedBatch, config: AestheticLoss) -> Outcome:
    """The objective on one batch."""
    return aesthetic(network(batch.features), batch.scores, batch.points, config)


def report_loss(report: Report, held_out: Rated, spread: float, losses: HeldOutLosses) -> Look:
    """A look that reports the cross-entropy on the held-out pictures and leaves it in `losses`."""
    features = torch.from_numpy(held_out.features.astype(np.float32))
    scores = torch.from_numpy(held_out.scores.astype(np.float32))

    def look(network: nn.Module, pairs_seen: int, weights: Weights) -> None:
        device = next(network.parameters()).device
        with torch.no_grad():
            found = float(score_loss(network(features.to(device)), scores.to(device), spread))
        losses.take({HELD_OUT: found}, pairs_seen)
        report.log_metrics({f"{HELD_OUT}/levels": found}, pairs_seen)

    return look


def _sha256(*parts: np.ndarray) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part.tobytes())
    return found.hexdigest()
