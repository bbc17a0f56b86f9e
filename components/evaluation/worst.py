"""Where models fail: for each category of prompts each model's score, and the drawing that it aligned worst."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from components.evaluation.comparison import NUM_RESAMPLES, Metric
from components.evaluation.intervals import interval_around, resampled_scores
from components.evaluation.suite import Drawn, Question


@dataclass(frozen=True)
class Worst:
    """A model's mean score in a category with its 95 % interval, and the lowest: its value, prompt and picture."""

    mean: float
    low: float
    high: float
    score: float
    prompt: str
    image_u8: UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class WorstOf:
    """A category's number of prompts, and what each model did worst in it."""

    category: str
    num_prompts: int
    models: Mapping[str, Worst]


def worst_of_categories(metric: Metric, questions: Sequence[Question], drawn: Drawn) -> list[WorstOf]:
    """By category in alphabetical order; `metric` has a score of each prompt of all questions, more is better."""
    prompts = [prompt for question in questions for prompt in question.prompts]
    category = np.array([prompt.category for prompt in prompts], dtype=object)
    images = {name: [image for one in questions for image in drawn[name][one.split]] for name in metric.generated}
    found: list[WorstOf] = []
    for name in sorted(set(category)):
        rows = np.flatnonzero(category == name)
        scores = [values[rows] for values in metric.generated.values()]
        resampled = resampled_scores(metric.statistic, scores, num_resamples=NUM_RESAMPLES, seed=0)
        models: dict[str, Worst] = {}
        for number, (model, values) in enumerate(zip(metric.generated, scores, strict=True)):
            mean, lowest = metric.statistic(values), int(values[:, 0].argmin())
            place = int(rows[lowest])
            interval = interval_around(mean, resampled[:, number])
            models[model] = Worst(mean, *interval, float(values[lowest, 0]), prompts[place].text, images[model][place])
        found.append(WorstOf(str(name), len(rows), models))
    return found
