"""What stands in an evaluation set must not be trained on: fingerprints of its images, and who matches them.

A fingerprint is what `duplicates` compares: the SHA-256 of the bytes, that of the pixels, perceptual hash, mean colour
and aspect. The file holds no image, so it can be kept where the images may not.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from components.data.arrow import pc
from components.data.config import DecodeLimits, Likeness
from components.data.duplicates import alike, looks_of
from components.data.intake import inspect_images
from components.data.measures import MEAN_RGB
from components.data.phash import near_pairs
from components.data.records import CATALOGUE, strings

FINGERPRINTS = pa.schema(
    [CATALOGUE.field(name) for name in ("sample_id", "pixel_sha256", "width", "height", "phash", *MEAN_RGB)]
)


def fingerprints(images: Iterable[bytes], limits: DecodeLimits) -> pa.Table:
    """`FINGERPRINTS` of `images`; of one that cannot be decoded only the bytes are known."""
    data = list(images)
    found = inspect_images(data, [None] * len(data), limits, with_repetition=False)
    return found.select(FINGERPRINTS.names).cast(FINGERPRINTS)


def stands_in_evaluation(samples: pa.Table, evaluation: pa.Table, near: Likeness) -> Bool[np.ndarray, " n"]:
    """Which of `samples` are an evaluation image: by bytes, by pixels, or nearly, as near duplicates are told."""
    exact = np.zeros(samples.num_rows, bool)
    for name in ("sample_id", "pixel_sha256"):
        known = set(strings(evaluation, name)) - {""}
        exact |= np.array([value in known for value in strings(samples, name)], bool)
    evaluation = evaluation.filter(pc.not_equal(evaluation.column("pixel_sha256"), ""))
    if not evaluation.num_rows or not samples.num_rows:
        return exact
    both = pa.concat_tables([evaluation.select(FINGERPRINTS.names), samples.select(FINGERPRINTS.names)])
    looks = looks_of(both)
    pairs = near_pairs(looks.hashes, near.max_hamming_bits)
    across = pairs[(pairs[:, 0] < evaluation.num_rows) & (pairs[:, 1] >= evaluation.num_rows)]
    found = across[alike(looks, across, near)][:, 1] - evaluation.num_rows
    exact[found] = True
    return exact
