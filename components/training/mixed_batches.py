"""Batches from several sources in turn: each step is of one of them, by its share, as a pure function of the step."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from components.data.order import Rounds, order_key
from components.training.batches import TURNS, Batch, BatchSource, PositionSource


class MixedSource(PositionSource):
    """The samples of a run at any position, from sources that take turns.

    `parts` are sources by name, each with its share of the steps; shares are relative, and one of share 0 never has a
    turn. After s steps every source had its share of them to within 18 + log2(1 + s / 64), and of its own order what
    comes first: as if it were trained on alone. ValueError unless their batches and seeds are equal and a share is
    positive.
    """

    def __init__(self, parts: Mapping[str, tuple[BatchSource, float]]) -> None:
        sources = [source for source, _ in parts.values()]
        settings = {(source.seed, source.batch_size) for source in sources}
        if len(settings) != 1:
            raise ValueError(f"sources that take turns must have one seed and one batch size, got {sorted(settings)}")
        ((self.seed, self.batch_size),) = settings
        told = "".join(f"{name} {share.hex()} {source.manifest_hash}\n" for name, (source, share) in parts.items())
        self.manifest_hash = hashlib.sha256(told.encode()).hexdigest()
        self._sources = sources
        key = order_key(f"{self.manifest_hash} turns", self.seed)
        self._turns = Rounds(np.array([share for _, share in parts.values()]), key, TURNS)

    def at(self, start: int, count: int) -> Batch:
        """The samples at the positions start, ..., start + count - 1, which must be of one step."""
        source, first = self._turn_at(start, count)
        return replace(source.at(first, count), start=start)

    def names_at(self, start: int, count: int) -> tuple[str, ...]:
        """The sample ids of `at`; no latents are read."""
        source, first = self._turn_at(start, count)
        return source.names_at(first, count)

    def _turn_at(self, start: int, count: int) -> tuple[BatchSource, int]:
        """Whose turn it is, and which position `start` is in its own order."""
        step, offset = self._place(start, count)
        turn, turns_before = self._turns.turn(step)
        return self._sources[turn], turns_before * self.batch_size + offset
