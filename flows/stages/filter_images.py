"""Stage `filter_images`: a verdict on every image of the catalogue, with the reason and what it repeats."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from components.data.config import DecodeLimits, FeatureExtraction, FilterLimits, PinnedFile

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from components.data.candidates import ReadImages


class Params(BaseModel, frozen=True, extra="forbid"):
    """Which filters are asked and where they draw the line; null files name nobody."""

    batch_size: int
    limits: DecodeLimits
    features: FeatureExtraction
    filters: FilterLimits
    opt_out: PinnedFile | None
    evaluation: PinnedFile | None


@dataclass(frozen=True)
class Metrics:
    """offered = kept + dropped; dropped is the sum of all that follow it, each under the name of its rule."""

    offered_images: int
    kept_images: int
    dropped_images: int
    opted_out_images: int
    too_small_images: int
    odd_aspect_images: int
    nearly_empty_images: int
    flat_images: int
    blurred_images: int
    text_only_images: int
    watermark_images: int
    unsafe_images: int
    in_evaluation_images: int
    exact_duplicate_images: int
    near_duplicate_images: int


def filter_images(p: Params, *, images: Path, catalogue: Path, verdicts: Path) -> Metrics:
    """Drop images that are small, empty, blurred, unsafe, repeated or unwanted, each for a named reason."""
    from components.data import filters, opt_out, records
    from components.data.decontamination import FINGERPRINTS
    from components.data.image_shards import ImageShards
    from components.data.pinned import pinned_path

    samples = records.read_table(catalogue, records.CATALOGUE)
    shards = ImageShards(images, samples)
    evidence = filters.Evidence(
        opt_out=None if p.opt_out is None else opt_out.read_list(pinned_path(p.opt_out)),
        evaluation=None if p.evaluation is None else records.read_table(pinned_path(p.evaluation), FINGERPRINTS),
        features=partial(_features, p, shards.take),
    )
    samples = samples.append_column("unsafe", _unsafe(p, samples, shards.take))
    verdict = filters.apply_filters(samples, p.filters, evidence)
    records.write_table(verdict, verdicts, filters.versions(p.filters))
    by_reason = Counter(verdict.column("reason").to_pylist())
    kept = by_reason.pop("", 0)
    return Metrics(
        offered_images=samples.num_rows,
        kept_images=kept,
        dropped_images=samples.num_rows - kept,
        **{f"{rule.name}_images": by_reason[rule.name] for rule in filters.FILTERS},
    )


def _unsafe(p: Params, samples: "pa.Table", read: "ReadImages") -> "pa.Array":
    """What the network says of every image with skin colours; null for the rest, and where the rule is off."""
    import numpy as np
    import pyarrow as pa

    from components.data.candidates import score_images

    scores = np.full(samples.num_rows, np.nan, np.float32)
    if "unsafe" in p.filters.enabled:
        from components.models import unsafe_images

        asked = samples.column("skin_frac").to_numpy() >= p.filters.min_skin_frac
        ids = samples.filter(asked).column("sample_id").to_pylist()
        network = unsafe_images.unsafe_probability
        scores[asked] = score_images(read, ids, "unsafe", network, p.limits, unsafe_images.READ_PX)
    return pa.array(scores, from_pandas=True)


def _features(p: Params, read: "ReadImages", sample_ids: Sequence[str]) -> "np.ndarray":
    """Image features of a few samples, for the pairs that look alike."""
    from components.data import feature_table
    from components.models import image_features

    network = partial(image_features.extract_on_one_core, image_features.ImageFeatures(**vars(p.features)))
    found = feature_table.features_of_images(
        read,
        sample_ids,
        network,
        made_by={"network": image_features.MODEL_NAME, "precision": p.features.precision},
        px=p.features.px,
        limits=p.limits,
        batch_size=p.batch_size,
    )
    return found[:, image_features.CONTENT]
