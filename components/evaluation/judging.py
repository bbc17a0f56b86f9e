"""What the judges say of a split: one row per metric, each with interval, chance level and real images' score."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from components.data.prompts import Prompt
from components.evaluation.frechet import Gaussian, Projection, fit_gaussian, fit_projection, frechet_distance
from components.evaluation.intervals import bootstrap_interval, wilson_interval
from components.evaluation.report import Row
from components.evaluation.retrieval import TwoTower, retrieval_ranks
from components.models.image_features import ImageFeatures, extract
from components.models.linear_probe import LinearProbe

Features = Float[np.ndarray, "n d"]
NUM_RESAMPLES = 100


@dataclass(frozen=True)
class Judges:
    """The frozen judges, and the real training images' features that the Fréchet distance is taken to."""

    style: LinearProbe
    category: LinearProbe
    towers: TwoTower
    projection: Projection
    reference: Gaussian


@dataclass(frozen=True)
class Split:
    """A split's prompts with three sets of features: drawn for them, held out for them, and of decoded noise."""

    name: str
    prompts: Sequence[Prompt]
    texts: Float[np.ndarray, "n e"]
    generated: Features
    real: Features
    noise: Features


def fit_reference(features: Features, num_axes: int) -> tuple[Projection, Gaussian]:
    """Principal axes of the training images' features, and the Gaussian of their coordinates."""
    projection = fit_projection(features, min(num_axes, *features.shape))
    return projection, fit_gaussian(projection(features))


def features_of(model: ImageFeatures, images_u8: UInt8[np.ndarray, "n h w 3"]) -> Features:
    """Features of square images of any size, enlarged (or reduced) to what the network reads, in float32."""
    if images_u8.shape[1:3] == (model.px, model.px):
        return extract(model, images_u8).astype(np.float32)
    pixels = torch.from_numpy(images_u8).permute(0, 3, 1, 2).float()
    resized = torch.nn.functional.interpolate(
        pixels, (model.px, model.px), mode="bilinear", antialias=True, align_corners=False
    )
    return extract(model, resized.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()).astype(np.float32)


def judge(judges: Judges, split: Split) -> list[Row]:
    """All rows of one split."""
    return [
        accuracy_row(judges.style, split, "style"),
        accuracy_row(judges.category, split, "category"),
        *(retrieval_row(judges.towers, split, k) for k in (1, 5)),
        frechet_row(judges, split),
    ]


def accuracy_row(probe: LinearProbe, split: Split, label: Literal["style", "category"]) -> Row:
    """How often the probe sees the style (or category) that was asked for; chance is one over the classes."""
    asked = np.array([getattr(prompt, label) for prompt in split.prompts], dtype=object)
    explanation = f"a {len(probe.classes)}-way classifier sees the {label} that the prompt asks for"
    is_right = probe.predict(split.generated) == asked
    is_right_real = probe.predict(split.real) == asked
    row = share_row(split.name, is_right, is_right_real, 1 / len(probe.classes))
    return replace(row, key=f"{label}_accuracy", name=f"{label} accuracy", explanation=explanation)


def retrieval_row(towers: TwoTower, split: Split, k: int) -> Row:
    """How often an image's own prompt is among the `k` that the in-house model finds closest, of all the split's."""
    texts = towers.text(torch.from_numpy(split.texts))

    def is_found(features: Features) -> Bool[np.ndarray, " n"]:
        return (retrieval_ranks(towers.image(torch.from_numpy(features)), texts) < k).numpy()

    num_prompts = len(split.prompts)
    place = "closest" if k == 1 else f"among the {k} closest"
    explanation = f"the in-house image-text model finds the own prompt {place} of {num_prompts}"
    row = share_row(split.name, is_found(split.generated), is_found(split.real), min(1.0, k / num_prompts))
    return replace(row, key=f"retrieval_r{k}", name=f"retrieval R@{k}", explanation=explanation)


def share_row(
    split: str, is_right: Bool[np.ndarray, " n"], is_right_real: Bool[np.ndarray, " n"], chance: float
) -> Row:
    """A share with its Wilson interval, not named yet."""
    low, high = wilson_interval(int(is_right.sum()), len(is_right))
    return Row(split, "", "", "share", float(is_right.mean()), low, high, chance, float(is_right_real.mean()), "")


def frechet_row(judges: Judges, split: Split) -> Row:
    """The distance to the training images; real is that of the held-out images, chance that of decoded noise."""
    distance = distance_to(judges.reference)
    generated, real, noise = (judges.projection(set_) for set_ in (split.generated, split.real, split.noise))
    low, high = bootstrap_interval(distance, generated, num_resamples=NUM_RESAMPLES, seed=0)
    num_axes = judges.projection.axes.shape[1]
    explanation = f"to real training images, in the {num_axes} main directions of their features; less is better"
    value = distance(generated)
    # A resample repeats rows and is a little narrower than the set, which moves the whole interval up.
    return Row(
        split.name,
        "lite0_frechet",
        "Lite0 Fréchet distance",
        "distance",
        value,
        min(low, value),
        max(high, value),
        distance(noise),
        distance(real),
        explanation,
    )


def distance_to(reference: Gaussian) -> Callable[[Features], float]:
    """The Fréchet distance of a set of projected features to `reference`."""
    return lambda features: frechet_distance(fit_gaussian(features), reference)
