"""Why an image is left out: one named rule each, listed once in `FILTERS`.

A rule sees a table (a row per image: catalogue columns beside `MEASURED`) and answers for each row: `KEEP`, the row's
own number to drop it, or another row's number to drop it as a repeat of that one. Rules are asked in order and see
only what is still kept, so every image has at most one reason and reasons add up. Raise a rule's version when its
meaning changes: the versions stand in the metadata of the table that they wrote.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64

from components.data import decode, duplicates, quality_measures
from components.data.config import DecodeLimits, FilterLimits
from components.data.phash import HASH_PX, perceptual_hash
from components.data.records import VERDICTS, strings

KEEP = -1
MEAN_RGB = ("mean_red", "mean_green", "mean_blue")
MEASURED = pa.schema(
    [
        *(VERDICTS.field(name) for name in ("phash", "blank_frac", "grey_entropy")),
        *((name, pa.float32()) for name in MEAN_RGB),
    ]
)
Answer = Int64[np.ndarray, " n"]


@dataclass(frozen=True)
class Filter:
    """A rule; its name is the reason that stands in the table."""

    name: str
    version: int
    answer: Callable[[pa.Table, FilterLimits], Answer]


def measure_batch(batch: pa.Table, limits: DecodeLimits) -> pa.Table:
    """Measures (`MEASURED`) of the images in the column `bytes`, on a square of 32 pixels."""
    images = decode.decode_squares((data.as_py() for data in batch.column("bytes")), HASH_PX, limits)
    columns = [
        perceptual_hash(images),
        quality_measures.blank_frac(images).astype(np.float32),
        quality_measures.entropy(images).astype(np.float32),
        *images.mean(axis=(1, 2)).astype(np.float32).T,
    ]
    return pa.table([pa.array(values) for values in columns], schema=MEASURED)


def apply_filters(samples: pa.Table, limits: FilterLimits) -> pa.Table:
    """The verdict (`VERDICTS`) on every row of `samples`, which has the catalogue's columns and `MEASURED`."""
    unknown = sorted(set(limits.enabled) - {rule.name for rule in FILTERS})
    if unknown:
        raise ValueError(f"enabled filters {unknown} are unknown; allowed: {[rule.name for rule in FILTERS]}")
    reasons = np.full(samples.num_rows, "", dtype=object)
    keeper = np.arange(samples.num_rows)
    for rule in FILTERS:
        if rule.name not in limits.enabled:
            continue
        alive = np.flatnonzero(reasons == "")
        answer = rule.answer(samples.take(alive), limits)
        dropped = answer != KEEP
        reasons[alive[dropped]] = rule.name
        keeper[alive[dropped]] = alive[answer[dropped]]
    while (keeper != keeper[keeper]).any():  # a copy's original may itself repeat a better one
        keeper = keeper[keeper]
    sample_ids = strings(samples, "sample_id")
    repeats = np.where(keeper == np.arange(samples.num_rows), "", sample_ids[keeper])
    columns = {"sample_id": sample_ids, "kept": reasons == "", "reason": reasons, "duplicate_of": repeats}
    texts = {name: pa.array(values.tolist(), VERDICTS.field(name).type) for name, values in columns.items()}
    measures = {name: samples.column(name) for name in MEASURED.names if name not in MEAN_RGB}
    return pa.table({**texts, **measures}, schema=VERDICTS)


def versions(limits: FilterLimits) -> dict[str, str]:
    """Name and version of every rule that was asked, for the table's metadata."""
    return {f"filter.{rule.name}": str(rule.version) for rule in FILTERS if rule.name in limits.enabled}


def _too_small(samples: pa.Table, limits: FilterLimits) -> Answer:
    longer = np.maximum(samples.column("width").to_numpy(), samples.column("height").to_numpy())
    return _drop(longer < limits.min_longer_side_px)


def _nearly_empty(samples: pa.Table, limits: FilterLimits) -> Answer:
    return _drop(samples.column("blank_frac").to_numpy() > limits.max_blank_frac)


def _flat(samples: pa.Table, limits: FilterLimits) -> Answer:
    return _drop(samples.column("grey_entropy").to_numpy() < limits.min_entropy_bits)


def _exact_duplicate(samples: pa.Table, limits: FilterLimits) -> Answer:
    return _repeats(duplicates.repeats_exactly(strings(samples, "pixel_sha256").tolist(), _quality(samples)))


def _near_duplicate(samples: pa.Table, limits: FilterLimits) -> Answer:
    groups = [f"{style}/{concept}" for style, concept in zip(*_texts(samples, "style", "concept"), strict=True)]
    looks = duplicates.Looks(
        hashes=samples.column("phash").to_numpy(),
        mean_rgb=np.stack([samples.column(name).to_numpy() for name in MEAN_RGB], axis=1),
    )
    return _repeats(duplicates.repeats_nearly(looks, groups, _quality(samples), limits))


FILTERS = (
    Filter("too_small", 1, _too_small),
    Filter("nearly_empty", 1, _nearly_empty),
    Filter("flat", 1, _flat),
    Filter("exact_duplicate", 1, _exact_duplicate),
    Filter("near_duplicate", 1, _near_duplicate),
)


def _drop(is_dropped: Bool[np.ndarray, " n"]) -> Answer:
    return np.where(is_dropped, np.arange(len(is_dropped)), KEEP)


def _repeats(keeper: Int64[np.ndarray, " n"]) -> Answer:
    return np.where(keeper == np.arange(len(keeper)), KEEP, keeper)


def _quality(samples: pa.Table) -> np.ndarray:
    """Which copy is the best: most pixels, then most words, then most bytes."""
    pixels = samples.column("width").to_numpy().astype(np.int64) * samples.column("height").to_numpy()
    words = np.array([len(tags or []) for tags in samples.column("tags_en").to_pylist()], np.int64)
    order = np.lexsort((samples.column("num_bytes").to_numpy(), words, pixels))
    rank = np.empty(len(order), np.float64)
    rank[order] = np.arange(len(order))
    return rank


def _texts(samples: pa.Table, *names: str) -> list[list[str]]:
    return [strings(samples, name).tolist() for name in names]
