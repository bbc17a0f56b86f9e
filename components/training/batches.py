"""Batches for training: what the network sees at each position of the run, as a pure function of that position."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from components.data.latents import EMPTY_TEXT, LatentStore
from components.data.order import draw, order_key, seeds, uniforms
from components.models.denoiser import TextCondition, pad_states
from components.paths.noise import generators_from
from components.training.config import BatchConfig


@dataclass(frozen=True)
class Batch:
    """Latents with their texts; `start` is the number of images seen before, `rows` and `texts` say which they are.

    Each sample has a generator of its own, from its position alone.
    """

    x_0: Float[Tensor, "b c h w"]
    condition: TextCondition
    rows: NDArray[np.int64]
    texts: NDArray[np.int64]
    start: int
    generators: list[torch.Generator]

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`; the generators stay on the CPU, so that every device draws the same."""
        condition = TextCondition(self.condition.states.to(device), self.condition.lengths.to(device))
        return replace(self, x_0=self.x_0.to(device), condition=condition)


class BatchSource:
    """The batches of one run, in order: `len` of them from `start` images on."""

    def __init__(self, store: LatentStore, config: BatchConfig, *, seed: int, num_batches: int, start: int = 0) -> None:
        if unknown := set(config.caption_weights) - set(store.captions):
            raise ValueError(
                f"caption_weights names {sorted(unknown)}, but encode stored only {sorted(store.captions)}; "
                "see encode.caption_kinds"
            )
        self._store, self._config = store, config
        self._key = order_key(store.manifest_hash, seed)
        self._start, self._num_batches = start, num_batches

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[Batch]:
        size = self._config.batch_size
        for number in range(self._num_batches):
            yield self.at(self._start + number * size, size)

    def at(self, start: int, count: int) -> Batch:
        """The samples at the positions start, ..., start + count - 1; a rank asks for its part of a global batch."""
        rows = draw(self._store.probabilities, self._key, start, count)
        texts = choose_texts(self._store, self._config, self._key, start, rows)
        return Batch(
            x_0=torch.from_numpy(self._store.latents[rows]).float(),
            condition=condition_of(self._store, texts),
            rows=rows,
            texts=texts,
            start=start,
            generators=generators_from(seeds(self._key, start, count).tolist()),
        )


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
    """The token states of texts, padded to the longest."""
    return pad_states([torch.from_numpy(store.texts.of(int(text))) for text in texts])
