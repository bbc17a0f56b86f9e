"""Stage `filter_images`: a verdict on every image of the catalogue, with the reason and what it repeats."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from components.data.config import DecodeLimits, FilterLimits


class Params(BaseModel, frozen=True, extra="forbid"):
    """Which filters are asked and where they draw the line."""

    batch_size: int
    limits: DecodeLimits
    filters: FilterLimits


@dataclass(frozen=True)
class Metrics:
    """offered = kept + dropped; dropped = too_small + nearly_empty + flat + exact_duplicate + near_duplicate."""

    offered_images: int
    kept_images: int
    dropped_images: int
    too_small_images: int
    nearly_empty_images: int
    flat_images: int
    exact_duplicate_images: int
    near_duplicate_images: int


def filter_images(p: Params, *, images: Path, catalogue: Path, verdicts: Path) -> Metrics:
    """Drop images that are too small, empty, flat or repeated, each for a named reason."""
    from components.data import filters, records
    from components.data.engine import map_batches

    samples = records.read_table(catalogue, records.CATALOGUE)
    pixels = records.read_images(images, samples.column("sample_id").to_pylist())
    measure = partial(filters.measure_batch, limits=p.limits)
    measured = map_batches(pixels, measure, filters.MEASURED, batch_size=p.batch_size)
    for name in filters.MEASURED.names:
        samples = samples.append_column(name, measured.column(name))
    verdict = filters.apply_filters(samples, p.filters)
    records.write_table(verdict, verdicts, filters.versions(p.filters))
    by_reason = Counter(verdict.column("reason").to_pylist())
    kept = by_reason.pop("", 0)
    return Metrics(
        offered_images=samples.num_rows,
        kept_images=kept,
        dropped_images=samples.num_rows - kept,
        **{f"{rule.name}_images": by_reason[rule.name] for rule in filters.FILTERS},
    )
