"""Which samples are never trained on: whole concepts, cells (one style of a concept that others show), single images.

Decided by a hash of the concept, so every style of a concept and every repeat goes the same way, and a larger data set
does not move what was held out. The concepts with the smallest hashes are held out entirely, the next give one cell
each. A sample without a concept is held out, or not, by a hash of its own id. So a classifier that leaves out all below
the larger of the two shares has seen none of the held-out images.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Int8, Int64

from components.data.config import SplitShares
from components.data.records import unit_hash

SPLITS = ("train", "heldout_cell", "heldout_concept", "heldout_image")
TRAIN, CELL, CONCEPT, IMAGE = range(len(SPLITS))
_MIN_OTHER_FAMILIES = 2
_NONE, _ALL = -1, -2


def concept_hash(concept: str) -> float:
    """Where the concept stands in [0, 1); below a share means held out by it."""
    return unit_hash(concept, "heldout-concept")


class Splitter:
    """The split of samples in any number of batches, once it is known which styles show which concept.

    `shown` gives (style number, concept number) of every sample, batch by batch. ValueError if the shares do not leave
    room for training.
    """

    def __init__(
        self,
        styles: Sequence[str],
        concepts: Sequence[str],
        shares: SplitShares,
        shown: Callable[[], Iterable[tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]]],
    ) -> None:
        _check(shares)
        self._image_frac = shares.heldout_image_frac
        names, self._family = _families(styles, shares)
        is_shown = np.zeros((len(concepts), len(names)), bool)
        for style, concept in shown():
            is_shown[concept, self._family[style]] = True
        self._hidden = np.full(len(concepts), _NONE)
        self._has_concept = np.array([concept != "" for concept in concepts], bool)
        for number, concept in enumerate(concepts):
            self._hidden[number] = _hidden_family(concept, np.flatnonzero(is_shown[number]), names, shares)

    def split(
        self, style: Int64[np.ndarray, " m"], concept: Int64[np.ndarray, " m"], sample_ids: pa.Array
    ) -> Int8[np.ndarray, " m"]:
        """The number in `SPLITS` of each sample."""
        hidden = self._hidden[concept]
        split = np.where(hidden == self._family[style], CELL, np.where(hidden == _ALL, CONCEPT, TRAIN))
        alone = np.flatnonzero(~self._has_concept[concept])
        if self._image_frac and len(alone):
            ids: list[str] = sample_ids.take(pa.array(alone)).to_pylist()
            places = np.fromiter(map(concept_hash, ids), np.float64, len(ids))
            split[alone[places < self._image_frac]] = IMAGE
        return split.astype(np.int8)


def _hidden_family(concept: str, families: Int64[np.ndarray, " f"], names: Sequence[str], shares: SplitShares) -> int:
    """The number of the style family not trained on, or `_NONE`, or `_ALL`; `families` are those that show it.

    A cell is held out only if the concept is there in at least two more style families.
    """
    place = concept_hash(concept)
    if not concept or place >= shares.heldout_concept_frac + shares.heldout_cell_frac:
        return _NONE
    if place < shares.heldout_concept_frac:
        return _ALL
    if len(families) <= _MIN_OTHER_FAMILIES:
        return _NONE
    return min(families.tolist(), key=lambda family: unit_hash(f"{concept}\n{names[family]}", "heldout-cell"))


def _families(styles: Sequence[str], shares: SplitShares) -> tuple[list[str], Int64[np.ndarray, " s"]]:
    """The families' names, and the number of each style's family."""
    named = {style: family[0] for family in shares.style_families for style in family}
    of_style = [named.get(style, style) for style in styles]
    names = sorted(set(of_style))
    return names, np.array([names.index(family) for family in of_style], np.int64)


def _check(shares: SplitShares) -> None:
    concept_frac, both_frac = shares.heldout_concept_frac, shares.heldout_concept_frac + shares.heldout_cell_frac
    if not (0 <= concept_frac <= both_frac < 1 and 0 <= shares.heldout_image_frac < 1):
        raise ValueError(f"held-out shares are {shares}; allowed: 0 or more, together below 1")
