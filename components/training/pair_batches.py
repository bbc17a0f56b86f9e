"""Batches of preferred pairs, as a pure function of the position in the run: the twin of `batches` for preferences.

A position is a pair. A batch holds its winners, then its losers, in one tensor, so that the network is called once;
both images of a pair have one text, one time and one noise.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from components.data.buckets import Bucket
from components.data.errors import DataError
from components.data.latents import EMPTY_TEXT, LatentStore, combined_hash
from components.data.order import Rounds, order_key, seeds, uniforms
from components.paths.noise import generators_from
from components.training.batches import TURNS, Batch, PositionSource, condition_of, names_of

CAPTION = "prompt"
"""The kind of text that `preferences` stores with each image: what it was drawn for."""


@dataclass(frozen=True)
class PairRows:
    """Pairs as rows of one bucket's store, winner and loser, in the order of the table of pairs."""

    winners: NDArray[np.int64]
    losers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.winners)


def rows_of_pairs(
    buckets: Mapping[Bucket, LatentStore], pairs: pa.Table, split: str, num_needed: int
) -> dict[Bucket, PairRows]:
    """Where the pairs of a split lie.

    DataError for a pair whose images are not encoded, are one image, or have not one size; for a split with fewer than
    `num_needed` pairs, or with pairs of a single prompt.
    """
    place = {
        sample_id: (bucket, row)
        for bucket, store in buckets.items()
        for row, sample_id in enumerate(store.rows.column("sample_id").to_pylist())
    }
    found: dict[Bucket, list[tuple[int, int]]] = {}
    prompts = set[str]()
    for number, pair in enumerate(pairs.to_pylist()):
        if pair["split"] != split:
            continue
        winner, loser = place.get(pair["winner"]), place.get(pair["loser"])
        if winner is None or loser is None:
            missing = pair["winner"] if winner is None else pair["loser"]
            raise DataError(f"pair {number}: image {missing} is not among the encoded ones; run `preferences` again")
        if winner == loser:
            raise DataError(f"pair {number}: winner and loser are one image, {pair['winner']}; remove the pair")
        if winner[0] != loser[0]:
            raise DataError(f"pair {number}: its images have two sizes, {winner[0]} and {loser[0]}; remove the pair")
        prompts.add(pair["prompt"])
        found.setdefault(winner[0], []).append((winner[1], loser[1]))
    num_found = sum(map(len, found.values()))
    if num_found < max(num_needed, 1):
        raise DataError(
            f"there are {num_found} pairs to {'train on' if split == 'train' else 'hold out'}, and {max(num_needed, 1)}"
            " are needed; ask for more prompts in `preferences`, or a smaller batch"
        )
    if len(prompts) < 2:
        raise DataError(f"all {num_found} pairs of split {split!r} are of one prompt; ask for more in `preferences`")
    return {bucket: PairRows(*np.array(rows, np.int64).T) for bucket, rows in sorted(found.items())}


class PairSource(PositionSource):
    """The pairs of a run at any position; with `in_order` the first round follows the table, as a curriculum does.

    Buckets take turns by their numbers of pairs. Later rounds are permutations, without replacement within a round.
    Errors as `rows_of_pairs`.
    """

    def __init__(
        self,
        buckets: Mapping[Bucket, LatentStore],
        pairs: pa.Table,
        *,
        batch_size: int,
        caption_dropout_frac: float,
        in_order: bool,
        seed: int,
    ) -> None:
        self.seed, self.batch_size = seed, batch_size
        self._dropout_frac, self._in_order = caption_dropout_frac, in_order
        rows = rows_of_pairs(buckets, pairs, "train", batch_size)
        self.manifest_hash = _hash(buckets, pairs, in_order)
        self._key = order_key(self.manifest_hash, seed)
        self._buckets = [
            (bucket, buckets[bucket], own, Rounds(np.ones(len(own)), order_key(f"{self._key} {bucket}", 0), len(own)))
            for bucket, own in rows.items()
        ]
        masses = np.array([len(own) for own in rows.values()], np.float64)
        self._turns = Rounds(masses, order_key(f"{self._key} turns", 0), TURNS)

    def at(self, start: int, count: int) -> Batch:
        """The pairs at the positions start, ..., start + count - 1, which must be of one step."""
        bucket, store, winners, losers = self._rows_at(start, count)
        rows = np.concatenate([winners, losers])
        is_dropped = np.tile(uniforms(self._key, "dropout", start, count) < self._dropout_frac, 2)
        texts = np.where(is_dropped, EMPTY_TEXT, store.captions[CAPTION][rows])
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
        _, store, winners, losers = self._rows_at(start, count)
        return names_of(store, np.concatenate([winners, losers]))

    def _rows_at(self, start: int, count: int) -> tuple[Bucket, LatentStore, NDArray[np.int64], NDArray[np.int64]]:
        step, offset = self._place(start, count)
        turn, turns_before = self._turns.turn(step)
        bucket, store, pairs, order = self._buckets[turn]
        first = turns_before * self.batch_size + offset
        chosen = order.at(first, count)
        if self._in_order:
            places = np.arange(first, first + count)
            chosen = np.where(places < len(pairs), places, chosen)
        return bucket, store, pairs.winners[chosen], pairs.losers[chosen]


def _hash(buckets: Mapping[Bucket, LatentStore], pairs: pa.Table, in_order: bool) -> str:
    """SHA-256 over which images there are, which was preferred to which, and whether their order counts."""
    digest = hashlib.sha256(f"{combined_hash(buckets)} {in_order}\n".encode())
    for pair in pairs.select(["winner", "loser", "split"]).to_pylist():
        digest.update(f"{pair['winner']} {pair['loser']} {pair['split']}\n".encode())
    return digest.hexdigest()
