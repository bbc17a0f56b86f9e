"""Places in the category tree: those that people gave, and those that a classifier gives to the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int64

from components.data.errors import DataError
from components.data.records import CATEGORIES, strings
from components.data.splits import concept_hash


@dataclass(frozen=True)
class Labelled:
    """The rows that people placed, with their labels, and which of them a classifier must not see."""

    rows: Int64[np.ndarray, " m"]
    categories: list[str]
    styles: list[str]
    is_heldout: Bool[np.ndarray, " m"]


def labelled(samples: pa.Table, heldout_concept_frac: float) -> Labelled:
    """The rows of `samples` with a category and a concept; DataError if that leaves nothing to fit or to test on."""
    categories, concepts, styles = (strings(samples, name) for name in ("category", "concept", "style"))
    rows = np.flatnonzero((categories != "") & (concepts != ""))
    is_heldout = np.array([concept_hash(concept) < heldout_concept_frac for concept in concepts[rows]], bool)
    if not is_heldout.any() or is_heldout.all():
        raise DataError(
            f"{len(rows)} labelled images, {int(is_heldout.sum())} of them held out by "
            f"categorize.heldout_concept_frac = {heldout_concept_frac}: both parts need some; "
            "take more images (ingest.max_images) or another share"
        )
    return Labelled(rows, categories[rows].tolist(), styles[rows].tolist(), is_heldout)


def place(
    samples: pa.Table, known: Labelled, classes: Sequence[str], probabilities: Float[np.ndarray, "n k"]
) -> pa.Table:
    """The table `CATEGORIES`: people's labels with probability 1, elsewhere the most probable class with its own."""
    category = np.array(classes, dtype=object)[probabilities.argmax(axis=1)]
    probability = probabilities.max(axis=1).astype(np.float32)
    source = np.full(samples.num_rows, "model", dtype=object)
    is_heldout = np.zeros(samples.num_rows, bool)
    category[known.rows] = known.categories
    probability[known.rows] = 1.0
    source[known.rows] = "tree"
    is_heldout[known.rows] = known.is_heldout
    return pa.table(
        [
            samples.column("sample_id"),
            pa.array(category.tolist(), pa.string()),
            pa.array(strings(samples, "subcategory").tolist(), pa.string()),
            pa.array(source.tolist(), pa.string()),
            pa.array(probability),
            pa.array(is_heldout),
        ],
        schema=CATEGORIES,
    )
