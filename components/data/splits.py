"""Which samples are never trained on: whole concepts, and cells (one style of a concept that other styles show).

Decided by a hash of the concept, so every style of a concept and every repeat goes the same way, and a larger data set
does not move what was held out. The concepts with the smallest hashes are held out entirely, the next give one cell
each. So a classifier that leaves out all concepts below both shares has seen none of the held-out images.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from components.data.config import SplitShares
from components.data.records import unit_hash

Split = Literal["train", "heldout_cell", "heldout_concept"]
_MIN_OTHER_FAMILIES = 2


def concept_hash(concept: str) -> float:
    """Where the concept stands in [0, 1); below a share means held out by it."""
    return unit_hash(concept, "heldout-concept")


def split_samples(styles: Sequence[str], concepts: Sequence[str], shares: SplitShares) -> np.ndarray:
    """The split of every sample; samples without a concept ("") are for training.

    A cell is held out only if the concept is there in at least two more style families. ValueError if the shares do not
    leave room for training.
    """
    concept_frac, both_frac = shares.heldout_concept_frac, shares.heldout_concept_frac + shares.heldout_cell_frac
    if not 0 <= concept_frac <= both_frac < 1:
        raise ValueError(f"held-out shares are {shares}; allowed: 0 or more, together below 1")
    family_of = _families(shares, styles)
    there: dict[str, set[str]] = {}
    for style, concept in zip(styles, concepts, strict=True):
        there.setdefault(concept, set()).add(family_of[style])
    hidden = {
        concept: _hidden_family(concept, families, concept_frac, both_frac) for concept, families in there.items()
    }
    return np.array(
        [_split(family_of[style], hidden[concept]) for style, concept in zip(styles, concepts, strict=True)],
        dtype=object,
    )


def _hidden_family(concept: str, families: set[str], concept_frac: float, both_frac: float) -> str | None:
    """The style family not trained on: None for none of them, "" for all of them."""
    place = concept_hash(concept)
    if not concept or place >= both_frac:
        return None
    if place < concept_frac:
        return ""
    if len(families) <= _MIN_OTHER_FAMILIES:
        return None
    return min(families, key=lambda family: unit_hash(f"{concept}\n{family}", "heldout-cell"))


def _split(family: str, hidden: str | None) -> Split:
    if hidden is None:
        return "train"
    if hidden == "":
        return "heldout_concept"
    return "heldout_cell" if family == hidden else "train"


def _families(shares: SplitShares, styles: Sequence[str]) -> Mapping[str, str]:
    named = {style: family[0] for family in shares.style_families for style in family}
    return {style: named.get(style, style) for style in styles}
