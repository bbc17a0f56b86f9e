"""What the proxy for looks is fitted to and tested by: images beside damaged versions of themselves.

The proxy says how little damaged a drawing seems. Nobody's taste is in it, and every table that carries it says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int64, UInt8

from components.data.config import DecodeLimits
from components.data.decode import decode_squares
from components.data.degradations import degraded
from components.data.errors import DataError
from components.data.records import SCORES, strings, unit_hash
from components.data.splits import concept_hash

MEASURES = ("sharpness", "entropy", "colourfulness")
"""The columns of the catalogue that stand beside the score."""
PROXY_NOTE = {
    "model": "damage-proxy-1",
    "aesthetic": "a PROXY without human votes: log odds that an image is undamaged, by a linear head fitted to "
    "blurred, JPEG-coded, noisy and posterised versions of real images",
}


@dataclass(frozen=True)
class Reference:
    """Rows that are shown with damage, and which of them only test the proxy."""

    rows: Int64[np.ndarray, " m"]
    is_heldout: Bool[np.ndarray, " m"]


def reference_rows(samples: pa.Table, num_images: int, heldout_concept_frac: float) -> Reference:
    """`num_images` of the labelled samples, chosen by a hash of their id; DataError if none are to fit or to test.

    Where nobody labelled any, all may be chosen, each is its own concept, and at least one is held out.
    """
    concepts = strings(samples, "concept")
    is_labelled = bool((concepts != "").any())
    if not is_labelled:
        concepts = strings(samples, "sample_id")
    rows = np.flatnonzero(concepts != "")
    place = np.array([unit_hash(one, "looks") for one in strings(samples, "sample_id")[rows]])
    rows = np.sort(rows[np.argsort(place, kind="stable")][:num_images])
    hashes = np.array([concept_hash(concept) for concept in concepts[rows]])
    is_heldout = hashes <= max(heldout_concept_frac, 0.0 if is_labelled else hashes.min(initial=1.0))
    if not is_heldout.any() or is_heldout.all():
        raise DataError(
            f"{len(rows)} reference images, {int(is_heldout.sum())} of them held out: both parts need some; "
            "raise score.num_reference_images or ingest.max_images, or land more images"
        )
    return Reference(rows, is_heldout)


def versions(
    images: pa.Table, px: int, limits: DecodeLimits, strengths: Sequence[float], seed: int
) -> list[UInt8[np.ndarray, "n {px} {px} 3"]]:
    """The images as they are, then damaged with each strength, which must rise: from best to worst."""
    if not strengths or list(strengths) != sorted(strengths):
        raise ValueError(f"strengths are {tuple(strengths)}; allowed: one or more, rising")
    real = decode_squares((data.as_py() for data in images.column("bytes")), px, limits)
    return [real, *(degraded(real, strength, seed) for strength in strengths)]


def pair_accuracy(real: Float[np.ndarray, " n"], damaged: Sequence[Float[np.ndarray, " n"]]) -> float:
    """How often an image scores above a damaged version of itself."""
    return float(np.mean([real > one for one in damaged]))


def order_accuracy(from_best: Sequence[Float[np.ndarray, " n"]]) -> float:
    """How often, of two versions of one image, the less damaged scores higher; over all pairs of versions."""
    pairs = [(better, worse) for k, better in enumerate(from_best) for worse in from_best[k + 1 :]]
    return float(np.mean([better > worse for better, worse in pairs]))


def score_table(sample_ids: Sequence[str], aesthetic: Float[np.ndarray, " n"], measured: pa.Table) -> pa.Table:
    """The table `SCORES`."""
    columns = [pa.array(sample_ids, pa.string()), pa.array(aesthetic.astype(np.float32)), *measured.columns]
    return pa.table(columns, schema=SCORES)
