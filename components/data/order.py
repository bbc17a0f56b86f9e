"""The order of training as a pure function of (manifest hash, seed, images seen).

Position i of a run is decided by random numbers that are themselves a function of (key, stream, i): Philox counts
instead of stepping, so nothing has to be remembered to continue, and ranks that take slices of one global range
see what a single rank would have seen.
Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox); Black & Rogaway 2002, "Ciphers with
arbitrary finite domains" (a permutation as a function of position); Madow 1949, doi:10.1214/aoms/1177729988 (systematic
sampling: counts next to their expectations); van der Corput 1935 (shifts that fill the gaps of those before).
"""

import hashlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Stream = Literal["caption", "dropout"]
_STREAMS: dict[Stream, int] = {"caption": 1, "dropout": 2}
_FEISTEL_ROUNDS = 6
_SEEDS = 1 << 32
_LANES = 4  # numbers that Philox makes per count
_BITS = 62  # of a point between 0 and the sum of the weights


def order_key(manifest_hash: str, seed: int) -> int:
    """A 64-bit key from what is ordered and the seed; changes with either."""
    return int.from_bytes(hashlib.sha256(f"{manifest_hash}:{seed}".encode()).digest()[:8], "big")


def uniforms(key: int, stream: Stream, start: int, count: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) for the positions start, ..., start + count - 1 of a stream; streams are independent."""
    _check_range(start, count)
    first, skipped = divmod(start, _LANES)
    generator = np.random.Philox(key=[key, _STREAMS[stream]], counter=[first, 0, 0, 0])
    raw = generator.random_raw(skipped + count)[skipped:]
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def seeds(key: int, start: int, count: int) -> NDArray[np.int64]:
    """Seeds of 32 bits for the positions start, ..., start + count - 1: no two of 2**32 in a row are equal."""
    _check_range(start, count)
    rounds, places = np.divmod(np.arange(start, start + count), _SEEDS)
    made = np.empty(count, np.int64)
    for turn in np.unique(rounds).tolist():
        mine = rounds == turn
        made[mine] = _permuted(places[mine], _SEEDS, order_key(f"{key} seeds", turn))
    return made


class Rounds:
    """Endless draws of indices by weight, in rounds of `size` positions, without replacement within a round.

    In each round an index comes as often as expected (its share of the weights times `size`) rounded down or up, in
    random order, and an index of weight 0 never. The roundings of different rounds make up for one another: after r
    rounds no count is further from its expectation than the ones in r's binary digits, so at most log2(r) + 1.

    A round is a systematic sample: a point at the same place of each of `size` equal cells, which may be anywhere. The
    places of 2**m rounds together, the first a multiple of 2**m, are equally far apart: one systematic sample again.
    ValueError for weights that are negative or without a positive sum, or a round without positions.
    """

    def __init__(self, weights: NDArray[np.float64], key: int, size: int) -> None:
        if size < 1:
            raise ValueError(f"a round's size is {size}; allowed: 1 or more")
        total = float(weights.sum()) if weights.size else 0.0
        if not total > 0 or not np.isfinite(total) or bool((weights < 0).any()):
            raise ValueError(f"weights must be non-negative with a positive sum, got {weights.size} of sum {total}")
        self.size = size
        self._key, self._first_shift = key, order_key(f"{key} shift", 0)
        self._cell_bits = _BITS - (size - 1).bit_length()
        cumulative = np.cumsum(weights)
        self._ends = np.rint(cumulative / cumulative[-1] * float(size << self._cell_bits)).astype(np.int64)
        self._last: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None

    def at(self, start: int, count: int) -> NDArray[np.int64]:
        """The indices at the positions start, ..., start + count - 1."""
        _check_range(start, count)
        drawn = np.empty(count, np.int64)
        done = 0
        while done < count:
            number, place = divmod(start + done, self.size)
            stop = min(done + self.size - place, count)
            places = np.arange(place, place + stop - done)
            cells = _permuted(places, self.size, order_key(str(self._key), number))
            points = (cells << self._cell_bits) + self._shift(number)
            drawn[done:stop] = np.searchsorted(self._ends, points, side="right")
            done = stop
        return drawn

    def counts(self, num_rounds: int) -> NDArray[np.int64]:
        """How often each index comes in the first `num_rounds` rounds; none of them is drawn to know."""
        below = np.zeros(len(self._ends), np.int64)
        first = 0
        for power in reversed(range(num_rounds.bit_length())):
            if num_rounds >> power & 1:
                step = 1 << (self._cell_bits - power)
                below += (self._ends - self._shift(first) % step + step - 1) // step
                first += 1 << power
        return np.diff(below, prepend=0)

    def turn(self, position: int) -> tuple[int, int]:
        """The index at `position`, and how often it came before; one round is kept, so that asking on is cheap."""
        number, place = divmod(position, self.size)
        if self._last is None or self._last[0] != number:
            drawn, before = self.at(number * self.size, self.size), self.counts(number)
            earlier = np.array([before[one] + (drawn[:nth] == one).sum() for nth, one in enumerate(drawn)])
            self._last = (number, drawn, earlier)
        _, drawn, earlier = self._last
        return int(drawn[place]), int(earlier[place])

    def _shift(self, number: int) -> int:
        """Where in its cells a round has its points: any place for the first, then the gaps between those before."""
        bits = self._cell_bits
        mirrored = int(f"{number % (1 << bits):0{bits}b}"[::-1], 2)
        return (self._first_shift + mirrored) % (1 << bits)


def _check_range(start: int, count: int) -> None:
    if start < 0 or count < 0:
        raise ValueError(f"start and count must not be negative, got {start} and {count}")


def _permuted(places: NDArray[np.int64], size: int, key: int) -> NDArray[np.int64]:
    """Where a permutation of 0, ..., size - 1 that `key` names takes `places`; nothing but the places is computed.

    A Feistel network permutes the next power of four; what it takes out of the range goes round again.
    """
    half = np.uint64(max((size - 1).bit_length() + 1, 2) // 2)
    mask = (np.uint64(1) << half) - np.uint64(1)
    round_keys = np.random.Philox(key=[key, 0]).random_raw(_FEISTEL_ROUNDS)
    value = places.astype(np.uint64)
    outside = np.ones(len(value), bool)
    while outside.any():
        left, right = value[outside] >> half, value[outside] & mask
        for round_key in round_keys:
            left, right = right, left ^ (_mixed(right ^ round_key) & mask)
        value[outside] = (left << half) | right
        outside = value >= np.uint64(size)
    return value.astype(np.int64)


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64: every bit depends on every bit.

    Source: Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195.
    """
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
