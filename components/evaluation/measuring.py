"""What all judges read off the drawings of several models: one metric beside the other, for each question.

Whoever drew, and with whatever words, is judged by the same eyes: the chain of models, and each with the enhancer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from components.evaluation.comparison import Metric, Readings
from components.evaluation.drift import diversity
from components.evaluation.judging import Features, Judges, Split, judge
from components.evaluation.kernel_distance import KernelReference, Kernels
from components.evaluation.suite import Drawn, Images, Question
from components.models.image_features import CONTENT


@dataclass(frozen=True)
class Looks:
    """A score of images in [0, 100] for how they look, whatever was asked; `name` and `description` say whose taste."""

    score: Callable[[Images], Float[np.ndarray, " n"]]
    name: str
    description: str


@dataclass(frozen=True)
class Eyes:
    """All that looks at images: the judges, the features they share, and what images are compared with.

    `reference` are the training images that the kernel distance is taken to; `looks` is None where there is no model
    of looks.
    """

    judges: Judges
    see: Callable[[Images], Features]
    reference: KernelReference
    looks: Looks | None = None


@dataclass(frozen=True)
class Seen:
    """The features of a question's images: those that each model drew, real ones, and decoded noise."""

    generated: Mapping[str, Float[np.ndarray, "drawings n d"]]
    real: Features
    noise: Features

    @property
    def first(self) -> dict[str, Features]:
        """Of each model's first drawings."""
        return {name: features[0] for name, features in self.generated.items()}


def measured(
    eyes: Eyes, questions: Sequence[Question], rounds: Sequence[Drawn], names: Sequence[str]
) -> list[list[Metric]]:
    """For each question all metrics of the models of `names`: of their first drawings, the diversity of all."""
    seen = [
        Seen(
            {name: np.stack([eyes.see(drawn[name][question.split]) for drawn in rounds]) for name in names},
            eyes.see(question.real_u8),
            eyes.see(question.noise_u8),
        )
        for question in questions
    ]
    kernels = kernel_metrics(eyes.reference, seen)
    return [
        [
            *judge(eyes.judges, _split(question, one)),
            kernel,
            *([variety(one.generated, one.real)] if len(rounds) > 1 else []),
            *([appearance(eyes.looks, question, rounds[0], names)] if eyes.looks else []),
        ]
        for question, one, kernel in zip(questions, seen, kernels, strict=True)
    ]


def _split(question: Question, seen: Seen) -> Split:
    texts = np.stack([states.mean(0).numpy() for states in question.texts])
    return Split(question.split, question.prompts, texts, seen.first, seen.real, seen.noise)


def kernel_metrics(reference: KernelReference, seen: Sequence[Seen]) -> list[Metric]:
    """The kernel distance of each question's images; readings are numbers of rows, so that questions can be pooled."""
    sets = [features[:, CONTENT] for one in seen for features in (*one.first.values(), one.real, one.noise)]
    kernels = Kernels(reference, sets)
    rows = iter(kernels.rows)
    metrics: list[Metric] = []
    for one in seen:
        generated = {name: next(rows) for name in one.generated}
        metrics.append(
            Metric(
                "lite0_kernel",
                "Lite0 kernel distance",
                "distance",
                "to real training images, of the 1280 content features, under a cubic kernel; less is better",
                kernels.distance,
                generated,
                real=next(rows),
                chance=next(rows),
            )
        )
    return metrics


def variety(seen: Mapping[str, Float[np.ndarray, "drawings n d"]], real: Features) -> Metric:
    """How far apart the drawings of one prompt are; real and chance are of two real images of different prompts."""

    def apart(features: Float[np.ndarray, "drawings n d"]) -> Readings:
        unit = torch.nn.functional.normalize(torch.from_numpy(features), dim=2).numpy()
        return diversity(unit.swapaxes(0, 1))[:, None] / 2

    others = apart(np.stack([real, np.roll(real, 1, axis=0)]))
    return Metric(
        "diversity",
        "diversity of a prompt's drawings",
        "similarity",
        "half the distance between unit vectors of two drawings' features: 0 where they are alike, more is more varied",
        _mean,
        {model: apart(features) for model, features in seen.items()},
        others,
        others,
    )


def appearance(looks: Looks, question: Question, drawn: Drawn, names: Sequence[str]) -> Metric:
    """The mean score of looks of each model's first drawings; chance is that of decoded noise."""

    def scores(images_u8: Images) -> Readings:
        return looks.score(images_u8).astype(np.float64)[:, None]

    return Metric(
        "aes",
        looks.name,
        "similarity",
        f"expected score from 0 to 100, whatever was asked: {looks.description}",
        _mean,
        {name: scores(drawn[name][question.split]) for name in names},
        scores(question.real_u8),
        scores(question.noise_u8),
    )


def _mean(readings: Readings) -> float:
    return float(readings.mean())
