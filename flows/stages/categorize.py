"""Stage `categorize`: every kept image gets its place in the category tree: by its label, a classifier, or likeness."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from components.data.config import DecodeLimits, FeatureExtraction


class Params(BaseModel, frozen=True, extra="forbid"):
    """How features are made, how the classifiers (category, style) are fitted and tested, and when they abstain.

    Where too few images are labelled to fit and test a classifier, the others are grouped into `num_clusters`.
    """

    batch_size: int = Field(gt=0)
    limits: DecodeLimits
    features: FeatureExtraction
    autoencoded_every: int = Field(gt=0)
    heldout_concept_frac: float = Field(gt=0, lt=1)
    l2: float = Field(gt=0)
    min_category_probability: float = Field(ge=0, le=1)
    num_clusters: int = Field(gt=0)
    seed: int


@dataclass(frozen=True)
class Metrics:
    """offered = labelled + predicted + abstained + clustered; accuracies are of concepts that no classifier saw.

    Calibration errors: the mean gap between the probability told and how often it was right, before and after
    calibration. Without a classifier its accuracy is 0 and its chance 1.
    """

    offered_images: int
    labelled_images: int
    predicted_images: int
    abstained_images: int
    clustered_images: int
    heldout_images: int
    category_accuracy: float
    category_accuracy_autoencoded: float
    category_chance: float
    category_temperature: float
    category_calibration_error_raw: float
    category_calibration_error: float
    style_accuracy: float
    style_accuracy_autoencoded: float
    style_chance: float
    style_temperature: float
    style_calibration_error_raw: float
    style_calibration_error: float


def categorize(
    p: Params,
    *,
    images: Path,
    catalogue: Path,
    verdicts: Path,
    autoencoder: Path,
    categories: Path,
    features: Path,
    classifier: Path,
) -> Metrics:
    """Extract image features, fit and calibrate classifiers on labelled concepts, place the other images."""
    from components.data import categories as tree
    from components.data import feature_table, image_shards, records
    from components.models import image_features, judges
    from components.tracking import current_run

    kept = records.kept_ids(verdicts)
    samples = records.take_ids(records.read_table(catalogue, records.CATALOGUE), kept, catalogue)
    known = tree.labelled(samples, p.heldout_concept_frac)
    copied = known.every(samples, p.autoencoded_every)
    facts = {**vars(p.features), **image_features.identity()}
    soft_ids = [kept[row] for row in known.rows[copied]]
    sharp, soft = _features(p, image_shards.ImageShards(images, samples).take, facts, autoencoder, kept, soft_ids)
    feature_table.write_features(sharp, kept, features)

    examples = judges.Examples(sharp[known.rows], soft, copied, known.is_heldout, known.is_first)
    fitted = judges.fit_judges(examples, {"category": known.categories, "style": known.styles}, l2=p.l2)
    judges.save_judges(fitted, classifier, facts)
    others = sharp[known.others(len(kept))]
    if "category" in fitted:
        names, probability = fitted["category"].probe.guess(others)
        table = tree.place(samples, known, names, probability, p.min_category_probability, "model")
        tree.write_reports(table, known, fitted["category"].heldout_seen_as, classifier)
    else:
        names, probability = tree.likeness(others[:, image_features.CONTENT], p.num_clusters, p.seed)
        table = tree.place(samples, known, names, probability, 0.0, "cluster")
    records.write_table(table, categories)
    current_run().log_artifact(classifier, "classifier")
    counts = tree.source_counts(table)
    return Metrics(
        offered_images=len(kept),
        labelled_images=counts["tree"],
        predicted_images=counts["model"],
        abstained_images=counts["abstained"],
        clustered_images=counts["cluster"],
        heldout_images=int(known.is_heldout.sum()) if fitted else 0,
        **judges.scores(fitted, ("category", "style")),
    )


def _features(
    p: Params, read: Any, facts: dict[str, Any], autoencoder: Path, sample_ids: list[str], soft_ids: list[str]
) -> tuple[Any, Any]:
    """Features of all images, and of some out of the autoencoder, as the judges will see generated ones.

    Without the latter they would lean on edges that the autoencoder cannot draw.
    """
    from components.data.feature_table import features_of_images
    from components.models import image_features
    from components.models.autoencoder import autoencoder_sha256, load_autoencoder, reconstruct_then
    from components.tracking import current_run

    run, total = current_run(), len(sample_ids) + len(soft_ids)
    network = partial(image_features.extract_on_one_core, image_features.ImageFeatures(**vars(p.features)))
    through = partial(reconstruct_then, network, load_autoencoder(autoencoder))
    soft_facts = {**facts, "autoencoder": autoencoder_sha256(autoencoder)}
    of = partial(features_of_images, read, px=p.features.px, limits=p.limits, batch_size=p.batch_size)
    sharp = of(sample_ids, network, made_by=facts, report=lambda done: run.progress(done, total))
    soft = of(soft_ids, through, made_by=soft_facts, report=lambda done: run.progress(len(sample_ids) + done, total))
    return sharp, soft
