"""Batches for training: what the network sees at each position of the run, as a pure function of that position.

Step s trains on the positions s B, ..., s B + B - 1, all of one bucket, so that every process has the same shape at
every step. Buckets take turns by their share of the probabilities, and the rows of a bucket follow one another without
replacement within its epoch, across batches: nothing is left over where an epoch's end is no batch's end.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from components.data.buckets import Bucket
from components.data.latents import EMPTY_TEXT, LatentStore, combined_hash
from components.data.order import Rounds, order_key, seeds, uniforms
from components.models.denoiser import TextCondition
from components.paths.noise import generators_from
from components.training.config import BatchConfig

TURNS = 64
"""Steps within which every bucket has its share of them, rounded down or up."""


@dataclass(frozen=True)
class Batch:
    """Latents with their texts; `start` is the number of images seen before, `rows` and `texts` say which they are.

    Rows are those of the bucket's store. Each sample has a generator of its own, from its position alone.
    """

    x_0: Float[Tensor, "b c h w"]
    condition: TextCondition
    rows: NDArray[np.int64]
    texts: NDArray[np.int64]
    start: int
    generators: list[torch.Generator]
    sample_ids: tuple[str, ...]
    bucket: Bucket

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`; the generators stay on the CPU, so that every device draws the same."""
        condition = TextCondition(self.condition.states.to(device), self.condition.lengths.to(device))
        return replace(self, x_0=self.x_0.to(device), condition=condition)


class PositionSource(ABC):
    """What a run trains on at any position; a step is `batch_size` positions, which no piece of it leaves."""

    seed: int
    batch_size: int
    manifest_hash: str

    @abstractmethod
    def at(self, start: int, count: int) -> Batch:
        """What lies at the positions start, ..., start + count - 1, which must be of one step."""

    @abstractmethod
    def names_at(self, start: int, count: int) -> tuple[str, ...]:
        """The sample ids of `at`; no latents are read."""

    def sample_ids(self, start: int, stop: int) -> Iterator[tuple[str, ...]]:
        """Which samples lie at the positions start, ..., stop - 1, step by step; no latents are read."""
        while start < stop:
            count = min(stop, start - start % self.batch_size + self.batch_size) - start
            yield self.names_at(start, count)
            start += count

    def consumed(self, stop: int) -> dict[str, str | int]:
        """What tells which samples lie at the positions up to `stop` - 1, for a training's record."""
        return {
            "manifest_hash": self.manifest_hash,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "start": 0,
            "stop": stop,
        }

    def slices(
        self, start_step: int, num_steps: int, *, rank: int = 0, world_size: int = 1, accumulate: int = 1
    ) -> Iterator[Batch]:
        """What one process sees in the steps start_step, ..., start_step + num_steps - 1: `accumulate` parts of each.

        All processes' parts of a step are its batch. ValueError if they do not divide it.
        """
        count, rest = divmod(self.batch_size, world_size * accumulate)
        if rest or not count or not 0 <= rank < world_size:
            raise ValueError(
                f"rank {rank} of {world_size}, {accumulate} parts each: a batch of {self.batch_size} does not divide so"
            )
        for step in range(start_step, start_step + num_steps):
            for part in range(accumulate):
                yield self.at(step * self.batch_size + (part * world_size + rank) * count, count)

    def _place(self, start: int, count: int) -> tuple[int, int]:
        """The step of these positions, and the first one's place in it; ValueError if they are not of one step."""
        step, offset = divmod(start, self.batch_size)
        if start < 0 or count < 1 or offset + count > self.batch_size:
            raise ValueError(f"positions {start} to {start + count - 1} are not of one step; it has {self.batch_size}")
        return step, offset


class BatchSource(PositionSource):
    """The samples of a run at any position, from the buckets of one resolution.

    After s steps every bucket had its share of them to within 18 + log2(1 + s / 64). ValueError for a kind of caption
    that was not encoded, or when there is nothing to train on.
    """

    def __init__(self, buckets: Mapping[Bucket, LatentStore], config: BatchConfig, *, seed: int) -> None:
        for store in buckets.values():
            if unknown := set(config.caption_weights) - set(store.captions):
                raise ValueError(
                    f"caption_weights names {sorted(unknown)}, but of captions only {sorted(store.captions)} are "
                    "encoded; name one of these, or encode it (encode.caption_kinds)"
                )
        masses = {bucket: float(buckets[bucket].probabilities.sum()) for bucket in sorted(buckets)}
        used = [bucket for bucket, mass in masses.items() if mass > 0]
        if not used:
            raise ValueError("no image has a positive probability, so there is nothing to train on; see the selection")
        self.manifest_hash = combined_hash(buckets)
        self.seed, self.batch_size = seed, config.batch_size
        self._key, self._config = order_key(self.manifest_hash, seed), config
        self._buckets = [(bucket, buckets[bucket], self._rows_of(buckets[bucket], bucket)) for bucket in used]
        self._turns = Rounds(np.array([masses[bucket] for bucket in used]), order_key(f"{self._key} turns", 0), TURNS)

    def at(self, start: int, count: int) -> Batch:
        """The samples at the positions start, ..., start + count - 1, which must be of one step."""
        bucket, store, rows = self._rows_at(start, count)
        texts = choose_texts(store, self._config, self._key, start, rows)
        return Batch(
            x_0=torch.from_numpy(store.latents[rows].astype(np.float32)),
            condition=condition_of(store, texts),
            rows=rows,
            texts=texts,
            start=start,
            generators=generators_from(seeds(self._key, start, count).tolist()),
            sample_ids=names_of(store, rows),
            bucket=bucket,
        )

    def names_at(self, start: int, count: int) -> tuple[str, ...]:
        """The sample ids of `at`; no latents are read."""
        _, store, rows = self._rows_at(start, count)
        return names_of(store, rows)

    def _rows_at(self, start: int, count: int) -> tuple[Bucket, LatentStore, NDArray[np.int64]]:
        step, offset = self._place(start, count)
        turn, turns_before = self._turns.turn(step)
        bucket, store, order = self._buckets[turn]
        return bucket, store, order.at(turns_before * self.batch_size + offset, count)

    def _rows_of(self, store: LatentStore, bucket: Bucket) -> Rounds:
        """An epoch of a bucket has as many positions as rows that are trained on."""
        probabilities = store.probabilities
        return Rounds(probabilities, order_key(f"{self._key} {bucket}", 0), int((probabilities > 0).sum()))


def names_of(store: LatentStore, rows: NDArray[np.int64]) -> tuple[str, ...]:
    """The sample ids of rows."""
    return tuple(store.rows.column("sample_id").take(rows).to_pylist())


def choose_texts(
    store: LatentStore, config: BatchConfig, key: int, start: int, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The text of each row: the empty one for a share of them, else a kind drawn among those the row has."""
    kinds = list(config.caption_weights)
    table = np.stack([store.captions[kind][rows] for kind in kinds], axis=1)
    weights = np.where(table >= 0, np.array([config.caption_weights[kind] for kind in kinds]), 0.0)
    cumulative = np.cumsum(weights, axis=1)
    points = uniforms(key, "caption", start, len(rows)) * cumulative[:, -1]
    chosen = (cumulative <= points[:, None]).sum(axis=1).clip(max=len(kinds) - 1)
    texts = table[np.arange(len(rows)), chosen]
    is_dropped = uniforms(key, "dropout", start, len(rows)) < config.caption_dropout_frac
    # A row without any of the kinds keeps -1 and is trained without a caption.
    return np.where(is_dropped | (texts < 0), EMPTY_TEXT, texts)


def condition_of(store: LatentStore, texts: NDArray[np.int64]) -> TextCondition:
    """The token states of texts, padded with zeros to the longest, in float32."""
    packed = store.texts
    starts, lengths = packed.offsets[texts], packed.offsets[texts + 1] - packed.offsets[texts]
    places = np.arange(lengths.max(initial=0))
    is_token = places < lengths[:, None]
    states = np.zeros((*is_token.shape, packed.states.shape[1]), packed.states.dtype)
    states[is_token] = packed.states[(starts[:, None] + places)[is_token]]
    return TextCondition(torch.from_numpy(states.astype(np.float32)), torch.from_numpy(lengths))
