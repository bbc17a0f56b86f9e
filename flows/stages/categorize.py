"""Stage `categorize`: every kept image gets its place in the category tree, by its label or by a trained classifier."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from components.data.config import DecodeLimits, FeatureExtraction


class Params(BaseModel, frozen=True, extra="forbid"):
    """How features are made and the two classifiers (category, style) are fitted and tested."""

    batch_size: int
    limits: DecodeLimits
    features: FeatureExtraction
    autoencoded_every: int
    heldout_concept_frac: float
    l2: float


@dataclass(frozen=True)
class Metrics:
    """offered = labelled + predicted; accuracies are of concepts that the classifiers never saw."""

    offered_images: int
    labelled_images: int
    predicted_images: int
    category_accuracy: float
    category_accuracy_autoencoded: float
    category_chance: float
    style_accuracy: float
    style_accuracy_autoencoded: float
    style_chance: float
    heldout_images: int


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
    """Extract image features, fit category and style on labelled concepts, place the unlabelled images."""
    import numpy as np

    from components.data import categories as tree
    from components.data import feature_table, records
    from components.models import image_features, linear_probe
    from components.models.autoencoder import load_autoencoder, reconstruct_then

    kept = records.kept_ids(records.read_table(verdicts, records.VERDICTS))
    samples = records.take_ids(records.read_table(catalogue, records.CATALOGUE), kept, catalogue)
    pixels = records.read_images(images, kept)
    network = partial(image_features.extract_on_one_core, image_features.ImageFeatures(**vars(p.features)))
    table_of = partial(feature_table.features_of_images, px=p.features.px, limits=p.limits, batch_size=p.batch_size)
    sharp = table_of(pixels, network)
    feature_table.write_features(sharp, kept, features)

    labelled = tree.labelled(samples, p.heldout_concept_frac)
    soft_rows = np.arange(0, len(labelled.rows), p.autoencoded_every)
    # The judges will see drawings out of the autoencoder: they must not lean on edges that it cannot draw.
    through = partial(reconstruct_then, network, load_autoencoder(autoencoder))
    soft = table_of(pixels.take(labelled.rows[soft_rows]), through)
    facts = {**vars(p.features), "network": image_features.MODEL_NAME}
    results: dict[str, linear_probe.Fitted] = {}
    for name, labels in (("category", labelled.categories), ("style", labelled.styles)):
        results[name] = linear_probe.fit_and_test(
            sharp[labelled.rows], soft, soft_rows, labels, labelled.is_heldout, l2=p.l2
        )
        linear_probe.save_probe(results[name].probe, classifier, name, {**facts, **results[name].facts})
    category = results["category"].probe
    records.write_table(tree.place(samples, labelled, category.classes, category.predict_proba(sharp)), categories)
    scores = {f"{name}_{key}": value for name, fitted in results.items() for key, value in fitted.scores.items()}
    return Metrics(
        offered_images=len(kept),
        labelled_images=len(labelled.rows),
        predicted_images=len(kept) - len(labelled.rows),
        heldout_images=int(labelled.is_heldout.sum()),
        **scores,
    )
