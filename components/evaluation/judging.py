"""What the judges read off the images that were drawn for a split, off its real images, and off decoded noise."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from components.data.prompts import Prompt
from components.evaluation.comparison import Metric, Readings
from components.evaluation.frechet import Gaussian, Projection, fit_gaussian, fit_projection, frechet_distance
from components.evaluation.retrieval import TwoTower, retrieval_ranks
from components.models.image_features import ImageFeatures, extract
from components.models.linear_probe import LinearProbe

Features = Float[np.ndarray, "n d"]


@dataclass(frozen=True)
class Judges:
    """The frozen judges, what they see by, and the real training images that the Fréchet distance is taken to."""

    features: ImageFeatures
    style: LinearProbe
    category: LinearProbe
    towers: TwoTower
    projection: Projection
    reference: Gaussian


@dataclass(frozen=True)
class Split:
    """A split's prompts with the features of what each model drew, of what was held out, and of decoded noise."""

    name: str
    prompts: Sequence[Prompt]
    texts: Float[np.ndarray, "n e"]
    generated: Mapping[str, Features]
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


def judge(judges: Judges, split: Split) -> list[Metric]:
    """All metrics of one split."""
    return [
        accuracy(judges.style, split, "style"),
        accuracy(judges.category, split, "category"),
        alignment(judges.towers, split),
        *(retrieval(judges.towers, split, k) for k in (1, 5)),
        distance(judges, split),
    ]


def accuracy(probe: LinearProbe, split: Split, label: Literal["style", "category"]) -> Metric:
    """How often the probe sees the style (or category) that was asked for; chance is one over the classes."""
    asked = np.array([getattr(prompt, label) for prompt in split.prompts], dtype=object)
    return Metric(
        f"{label}_accuracy",
        f"{label} accuracy",
        "share",
        f"a {len(probe.classes)}-way classifier sees the {label} that the prompt asks for",
        _mean,
        {model: _column(probe.predict(features) == asked) for model, features in split.generated.items()},
        _column(probe.predict(split.real) == asked),
        np.full((len(asked), 1), 1 / len(probe.classes)),
    )


def alignment(towers: TwoTower, split: Split) -> Metric:
    """The cosine of each image and its prompt in the in-house model's space; chance is that of the other prompts."""
    texts = towers.text(torch.from_numpy(split.texts))

    def cosines(features: Features) -> Float[Tensor, "n n"]:
        return (towers.image(torch.from_numpy(features)) @ texts.T).double()

    others = cosines(split.real).fill_diagonal_(0).sum(1) / (len(texts) - 1)
    return Metric(
        "alignment",
        "image-text alignment",
        "similarity",
        "cosine of image and prompt in the in-house image-text model, which had no part in the preference pairs",
        _mean,
        {model: _column(cosines(features).diagonal().numpy()) for model, features in split.generated.items()},
        _column(cosines(split.real).diagonal().numpy()),
        _column(others.numpy()),
    )


def retrieval(towers: TwoTower, split: Split, k: int) -> Metric:
    """How often an image's own prompt is among the `k` that the in-house model finds closest, of all the split's."""
    texts = towers.text(torch.from_numpy(split.texts))

    def is_found(features: Features) -> Readings:
        return _column((retrieval_ranks(towers.image(torch.from_numpy(features)), texts) < k).numpy())

    num_prompts = len(split.prompts)
    place = "closest" if k == 1 else f"among the {k} closest"
    return Metric(
        f"retrieval_r{k}",
        f"retrieval R@{k}",
        "share",
        f"the in-house image-text model finds the own prompt {place} of the split's",
        _mean,
        {model: is_found(features) for model, features in split.generated.items()},
        is_found(split.real),
        np.full((num_prompts, 1), min(1.0, k / num_prompts)),
    )


def distance(judges: Judges, split: Split) -> Metric:
    """The distance to the training images; real is that of the held-out images, chance that of decoded noise."""
    num_axes = judges.projection.axes.shape[1]
    return Metric(
        "lite0_frechet",
        "Lite0 Fréchet distance",
        "distance",
        f"to real training images, in the {num_axes} main directions of their features; less is better",
        distance_to(judges.reference),
        {model: judges.projection(features) for model, features in split.generated.items()},
        judges.projection(split.real),
        judges.projection(split.noise),
    )


def distance_to(reference: Gaussian) -> Callable[[Features], float]:
    """The Fréchet distance of a set of projected features to `reference`."""
    return lambda features: frechet_distance(reference, fit_gaussian(features))


def _mean(readings: Readings) -> float:
    return float(readings.mean())


def _column(values: Bool[np.ndarray, " n"] | Float[np.ndarray, " n"]) -> Readings:
    return values.astype(np.float64)[:, None]
