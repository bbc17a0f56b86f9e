"""Stage `score`: measures of every kept image, and a proxy for its looks.

No person has voted on these images. The column `aesthetic` is therefore a PROXY: how surely a linear head tells an
image from damaged ones (blur, JPEG, noise, posterising) of known order. It ranks cleanness of execution, not taste.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from components.data.config import DecodeLimits, FeatureExtraction


class Params(BaseModel, frozen=True, extra="forbid"):
    """On how many images the proxy is fitted, with which damage, and what it is tested on."""

    limits: DecodeLimits
    features: FeatureExtraction
    num_reference_images: int
    strengths: tuple[float, ...]
    heldout_concept_frac: float
    l2: float
    seed: int


@dataclass(frozen=True)
class Metrics:
    """Pair accuracies: how often the better of two versions of an image never seen scores higher (chance 0.5)."""

    scored_images: int
    reference_images: int
    heldout_reference_images: int
    proxy_pair_accuracy: float
    proxy_order_accuracy: float
    mean_sharpness: float
    mean_entropy_bits: float
    mean_colourfulness: float


def score(
    p: Params, *, images: Path, catalogue: Path, verdicts: Path, features: Path, scores: Path, scorer: Path
) -> Metrics:
    """Score looks by a proxy trained on damage of known order, beside the measures taken at intake."""
    from components.data import feature_table, looks, records
    from components.data.image_shards import ImageShards
    from components.models import image_features, linear_probe

    kept = records.kept_ids(verdicts)
    samples = records.take_ids(records.read_table(catalogue, records.CATALOGUE), kept, catalogue)
    extract = partial(image_features.extract_on_one_core, image_features.ImageFeatures(**vars(p.features)))

    reference = looks.reference_rows(samples, p.num_reference_images, p.heldout_concept_frac)
    shown = ImageShards(images, samples).take([kept[row] for row in reference.rows])
    versions = looks.versions(shown, p.features.px, p.limits, p.strengths, p.seed)
    with ThreadPoolExecutor(max_workers=2) as pool:
        rows = list(pool.map(extract, versions))
    seen = [row[~reference.is_heldout] for row in rows]
    probe = linear_probe.fit_preference(seen[0], seen[1:], l2=p.l2)
    unseen = [probe.margin(row[reference.is_heldout]) for row in rows]

    measured = samples.select(list(looks.MEASURES))
    table = looks.score_table(kept, probe.margin(feature_table.read_features(features, kept)), measured)
    note = {**looks.PROXY_NOTE, **image_features.identity()}
    records.write_table(table, scores, note)
    linear_probe.save_probe(probe, scorer, "aesthetic", {**note, **vars(p.features), "l2": p.l2})
    means = {name: float(table.column(name).to_numpy().mean()) for name in looks.MEASURES}
    return Metrics(
        scored_images=table.num_rows,
        reference_images=len(reference.rows),
        heldout_reference_images=int(reference.is_heldout.sum()),
        proxy_pair_accuracy=looks.pair_accuracy(unseen[0], unseen[1:]),
        proxy_order_accuracy=looks.order_accuracy(unseen),
        mean_sharpness=means["sharpness"],
        mean_entropy_bits=means["entropy"],
        mean_colourfulness=means["colourfulness"],
    )
