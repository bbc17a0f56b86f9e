"""Why an image is left out: one named rule each, listed once in `FILTERS`.

A rule sees a table (the catalogue's rows, with `unsafe` beside them), the limits and what lies outside the table, and
answers for each row: `KEEP`, the row's own number to drop it, or another row's number to drop it as a repeat of that
one; and the number that it compared with its limit. Rules are asked in order and see only what is still kept, so every
image has at most one reason and reasons add up. Raise a rule's version when its meaning changes: the version stands
beside every drop and in the metadata of the table.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int64

from components.data import duplicates
from components.data.config import FilterLimits
from components.data.decontamination import stands_in_evaluation
from components.data.errors import DataError
from components.data.opt_out import OptOut
from components.data.phash import hamming
from components.data.records import VERDICTS, strings

KEEP = -1


@dataclass(frozen=True)
class Evidence:
    """What rules look at beside the table; None where nothing was given.

    `features` returns a row of image features for each of the ids it is asked about.
    """

    opt_out: OptOut | None = None
    evaluation: pa.Table | None = None
    features: Callable[[Sequence[str]], Float[np.ndarray, "n d"]] | None = None


@dataclass(frozen=True)
class Answer:
    """For each row what to do with it, and the number that decided (NaN where none did)."""

    keeper: Int64[np.ndarray, " n"]
    measure: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Filter:
    """A rule; its name is the reason that stands in the table."""

    name: str
    version: int
    answer: Callable[[pa.Table, FilterLimits, Evidence], Answer]


def apply_filters(samples: pa.Table, limits: FilterLimits, evidence: Evidence) -> pa.Table:
    """The verdict (`VERDICTS`) on every row of `samples`, which has the catalogue's columns and `unsafe`."""
    unknown = sorted(set(limits.enabled) - {rule.name for rule in FILTERS})
    if unknown:
        raise ValueError(f"enabled filters {unknown} are unknown; allowed: {[rule.name for rule in FILTERS]}")
    num_rows = samples.num_rows
    reasons = np.full(num_rows, "", dtype=object)
    versions, measures, keeper = np.zeros(num_rows, np.int32), np.full(num_rows, np.nan), np.arange(num_rows)
    for rule in FILTERS:
        if rule.name not in limits.enabled:
            continue
        alive = np.flatnonzero(reasons == "")
        answer = rule.answer(samples.take(alive), limits, evidence)
        is_dropped = answer.keeper != KEEP
        dropped = alive[is_dropped]
        reasons[dropped], versions[dropped] = rule.name, rule.version
        measures[dropped] = answer.measure[is_dropped]
        keeper[dropped] = alive[answer.keeper[is_dropped]]
    while (keeper != keeper[keeper]).any():  # a copy's original may itself repeat a better one
        keeper = keeper[keeper]
    sample_ids = strings(samples, "sample_id")
    is_repeat = keeper != np.arange(num_rows)
    has_copies = np.isin(np.arange(num_rows), keeper[is_repeat])
    columns = {
        "sample_id": sample_ids,
        "kept": reasons == "",
        "reason": reasons,
        "rule_version": versions,
        "measure": measures,
        "duplicate_of": np.where(is_repeat, sample_ids[keeper], ""),
        "cluster": np.where(is_repeat | has_copies, sample_ids[keeper], ""),
        "phash": samples.column("phash").to_numpy(),
        "blank_frac": samples.column("blank_frac").to_numpy(),
        "grey_entropy": samples.column("entropy").to_numpy(),
        "unsafe": samples.column("unsafe").to_numpy(),
    }
    arrays = [pa.array(columns[field.name], field.type, from_pandas=True) for field in VERDICTS]  # NaN becomes null
    return pa.table(arrays, schema=VERDICTS)


def versions(limits: FilterLimits) -> dict[str, str]:
    """Name and version of every rule that was asked, for the table's metadata."""
    return {f"filter.{rule.name}": str(rule.version) for rule in FILTERS if rule.name in limits.enabled}


def _opted_out(samples: pa.Table, limits: FilterLimits, evidence: Evidence) -> Answer:
    """By the bytes, or by an address that stands as the row's name or attribution."""
    is_named = np.zeros(samples.num_rows, bool)
    if evidence.opt_out is not None:
        for column in ("sample_id", "source_id", "attribution"):
            is_named |= np.array([evidence.opt_out.names(value) for value in strings(samples, column)], bool)
    return _drop(is_named)


def _too_small(samples: pa.Table, limits: FilterLimits, evidence: Evidence) -> Answer:
    longer = np.maximum(_numbers(samples, "width"), _numbers(samples, "height"))
    return _drop(longer < limits.min_longer_side_px, longer)


def _odd_aspect(samples: pa.Table, limits: FilterLimits, evidence: Evidence) -> Answer:
    width, height = _numbers(samples, "width"), _numbers(samples, "height")
    aspect = np.maximum(width / height, height / width)
    return _drop(aspect > limits.max_aspect, aspect)


def _nearly_empty(samples: pa.Table, limits: FilterLimits, evidence: Evidence) -> Answer:
    blank = _numbers(samples, "blank_frac")
    return _drop(blank > limits.max_blank_frac, blank)


def _flat(samples: pa.Table, limits: FilterLimits, evidence: Evidence) -> Answer:
    entropy = _numbers(samples, "entropy")
    return _drop(entropy < limits.min_entropy_bits, entropy)


def _blurred(samples: pa.Table, limits: FilterLimits, evidence: Evidence) -> Answer:
    sharpness = _numbers(samples, "view_sharpness")
    return _drop(sharpness < limits.min_view_sharpness, sharpness)


def _text_only(samples: pa.Table, limits: FilterLimits, evidence: Evidence) -> Answer:
    lettering = _numbers(samples, "lettering")
    return _drop(lettering > limits.max_lettering, lettering)


def _watermark(samples: pa.Table, limits: FilterLimits, evidence: Evidence) -> Answer:
    repetition = _numbers(samples, "repetition")
    if np.isnan(repetition).any():
        raise DataError("catalogue: repetition was not measured; set ingest.intake.with_repetition or drop `watermark`")
    return _drop(repetition > limits.max_repetition, repetition)


def _unsafe(samples: pa.Table, limits: FilterLimits, evidence: Evidence) -> Answer:
    unsafe = _numbers(samples, "unsafe")
    return _drop(unsafe > limits.max_unsafe, unsafe)  # not asked is NaN, and NaN is above nothing


def _in_evaluation(samples: pa.Table, limits: FilterLimits, evidence: Evidence) -> Answer:
    if evidence.evaluation is None:
        return _drop(np.zeros(samples.num_rows, bool))
    return _drop(stands_in_evaluation(samples, evidence.evaluation, limits.near))


def _exact_duplicate(samples: pa.Table, limits: FilterLimits, evidence: Evidence) -> Answer:
    return _repeats(duplicates.repeats_exactly(strings(samples, "pixel_sha256").tolist(), _quality(samples)))


def _near_duplicate(samples: pa.Table, limits: FilterLimits, evidence: Evidence) -> Answer:
    groups = [f"{style}/{concept}" for style, concept in zip(*_texts(samples, "style", "concept"), strict=True)]
    looks = duplicates.looks_of(samples)
    confirm = None
    if limits.near.min_feature_cosine is not None:
        confirm = _agreeing_features(strings(samples, "sample_id"), limits.near.min_feature_cosine, evidence)
    keeper = duplicates.repeats_nearly(looks, groups, _quality(samples), limits.near, confirm)
    return _repeats(keeper, hamming(looks.hashes, looks.hashes[keeper]))


FILTERS = (
    Filter("opted_out", 1, _opted_out),
    Filter("too_small", 1, _too_small),
    Filter("odd_aspect", 1, _odd_aspect),
    Filter("nearly_empty", 2, _nearly_empty),
    Filter("flat", 2, _flat),
    Filter("blurred", 1, _blurred),
    Filter("text_only", 2, _text_only),
    Filter("watermark", 2, _watermark),
    Filter("unsafe", 1, _unsafe),
    Filter("in_evaluation", 1, _in_evaluation),
    Filter("exact_duplicate", 2, _exact_duplicate),
    Filter("near_duplicate", 2, _near_duplicate),
)


def _agreeing_features(
    sample_ids: np.ndarray, min_cosine: float, evidence: Evidence
) -> Callable[[Int64[np.ndarray, "m 2"]], Bool[np.ndarray, " m"]]:
    """Of pairs of rows, which have image features whose cosine is at least `min_cosine`."""
    features = evidence.features
    if features is None:
        raise ValueError("features is None; allowed: a function, where filters.near.min_feature_cosine is given")

    def confirm(pairs: Int64[np.ndarray, "m 2"]) -> Bool[np.ndarray, " m"]:
        rows = np.unique(pairs)
        vectors = features(sample_ids[rows].tolist()).astype(np.float32)
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        first, second = np.searchsorted(rows, pairs).T
        return np.einsum("md,md->m", unit[first], unit[second]) >= min_cosine

    return confirm


def _numbers(samples: pa.Table, name: str) -> Float[np.ndarray, " n"]:
    """A column as floats, null as NaN."""
    return samples.column(name).to_numpy().astype(np.float64)


def _drop(is_dropped: Bool[np.ndarray, " n"], measure: Float[np.ndarray, " n"] | None = None) -> Answer:
    keeper = np.where(is_dropped, np.arange(len(is_dropped)), KEEP)
    return Answer(keeper, np.full(len(is_dropped), np.nan) if measure is None else measure)


def _repeats(keeper: Int64[np.ndarray, " n"], distance: Int64[np.ndarray, " n"] | None = None) -> Answer:
    keeper = np.where(keeper == np.arange(len(keeper)), KEEP, keeper)
    return Answer(keeper, np.zeros(len(keeper)) if distance is None else distance.astype(np.float64))


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
