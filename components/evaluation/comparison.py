"""Several models on the same prompts and the same noise: the score of each, and whether it moved beyond noise."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float

from components.evaluation.intervals import effective_trials, interval_around, resampled_scores, wilson_interval

Readings = Float[np.ndarray, "n k"]
Unit = Literal["share", "similarity", "distance"]
Verdict = Literal["better", "worse", "no difference beyond noise"]
NUM_RESAMPLES = 400
SMALLEST = 1e-6  # what a score is divided by at least
TIE = 1e-4  # of scores whose deviation is about 1: equal images, judged in different batches, differ by less


@dataclass(frozen=True)
class Metric:
    """What a judge reads off each image, and `statistic`, which makes one score of many readings.

    A `share` lies in [0, 1] and a `similarity` in [-1, 1], and more is better; a `distance` is better when smaller.
    `generated` has the readings of each model, in the order of the chain; row i belongs to prompt i in all of them.
    `real` are those of the held-out images, `chance` those of images that know nothing of the prompt.
    """

    key: str
    name: str
    unit: Unit
    explanation: str
    statistic: Callable[[Readings], float]
    generated: Mapping[str, Readings]
    real: Readings
    chance: Readings


@dataclass(frozen=True)
class Difference:
    """A model's score less that of the model `over`; the interval is paired: same prompts, same noise."""

    over: str
    value: float
    low: float
    high: float
    verdict: Verdict


@dataclass(frozen=True)
class Row:
    """One score of one model on one split; `key` names it for machines, `name` for people."""

    split: str
    model: str
    key: str
    name: str
    unit: Unit
    value: float
    low: float
    high: float
    chance: float
    real: float
    explanation: str
    difference: Difference | None = None


@dataclass(frozen=True)
class Guard:
    """A model's score as a multiple of that of the model `over`, which may worsen by the share `limit` at most."""

    key: str
    name: str
    model: str
    over: str
    ratio: float
    low: float
    high: float
    limit: float
    is_kept: bool


@dataclass(frozen=True)
class WinRate:
    """How often a judge prefers the image of `model` to that of `over` for the same prompt and noise.

    Ties count half. Prompts that the judge cannot judge are left out of `num_prompts`; of each there are
    `num_drawings`, and the interval knows that these are of one prompt.
    """

    model: str
    over: str
    num_prompts: int
    num_ties: int
    share: float
    low: float
    high: float
    num_drawings: int = 1


def pooled(parts: Sequence[Metric]) -> Metric:
    """One metric of several splits taken as one set of prompts."""
    first = parts[0]
    return replace(
        first,
        generated={model: np.concatenate([part.generated[model] for part in parts]) for model in first.generated},
        real=np.concatenate([part.real for part in parts]),
        chance=np.concatenate([part.chance for part in parts]),
    )


def compare(metric: Metric, split: str) -> list[Row]:
    """A row per model, each but the first with its difference to the one before."""
    models, (values, resampled) = list(metric.generated), _scores(metric)
    chance, real = metric.statistic(metric.chance), metric.statistic(metric.real)
    rows: list[Row] = []
    for number, (model, value) in enumerate(zip(models, values.tolist(), strict=True)):
        low, high = interval_around(value, resampled[:, number])
        if metric.unit == "share":
            low, high = wilson_interval(round(value * len(metric.real)), len(metric.real))
        difference = None
        if number:
            change = value - float(values[number - 1])
            ends = interval_around(change, resampled[:, number] - resampled[:, number - 1])
            difference = Difference(models[number - 1], change, *ends, _verdict(metric.unit, *ends))
        row = Row(
            split,
            model,
            metric.key,
            metric.name,
            metric.unit,
            value,
            low,
            high,
            chance,
            real,
            metric.explanation,
            difference,
        )
        rows.append(row)
    return rows


def guard(metric: Metric, limit: float) -> list[Guard]:
    """Each model but the first against the one before; where a similarity is below 0, above 1 still means more."""
    values, resampled = _scores(metric)
    scores = np.concatenate([values[None], resampled])
    guards: list[Guard] = []
    for (before, over), (after, model) in pairwise(enumerate(metric.generated)):
        gain = scores[:, after] - scores[:, before]
        ratios = 1 + gain / np.maximum(np.abs(scores[:, before]), SMALLEST)
        ratio = float(ratios[0])
        low, high = interval_around(ratio, ratios[1:])
        is_kept = ratio <= 1 + limit if metric.unit == "distance" else ratio >= 1 - limit
        guards.append(Guard(metric.key, metric.name, model, over, ratio, low, high, limit, is_kept))
    return guards


def win_rates(scores: Mapping[str, Float[np.ndarray, "*drawings n"]]) -> list[WinRate]:
    """Each model but the first against the one before, by a judge's scores of the images of both; NaN: not judged.

    Column i is prompt i; rows, where there are some, are drawings of it from one noise after another.
    """
    rates: list[WinRate] = []
    for (over, before), (model, after) in pairwise(scores.items()):
        ahead = np.atleast_2d(after - before)
        ahead = ahead[:, np.isfinite(ahead).all(axis=0)]
        num_drawings, num_prompts = ahead.shape
        is_tie = np.abs(ahead) <= TIE
        won = np.where(is_tie, 0.5, ahead > 0).mean(axis=0)
        share = float(won.mean()) if num_prompts else 0.5
        num_trials = effective_trials(won, num_drawings) if num_drawings > 1 else num_prompts
        low, high = wilson_interval(share * num_trials, num_trials)
        rates.append(WinRate(model, over, num_prompts, int(is_tie.sum()), share, low, high, num_drawings))
    return rates


def _scores(metric: Metric) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "r m"]]:
    """Each model's score, and that of the same rows drawn with replacement."""
    readings = list(metric.generated.values())
    values = np.array([metric.statistic(values) for values in readings])
    return values, resampled_scores(metric.statistic, readings, num_resamples=NUM_RESAMPLES, seed=0)


def _verdict(unit: Unit, low: float, high: float) -> Verdict:
    if low <= 0 <= high:
        return "no difference beyond noise"
    return "better" if (low > 0) == (unit != "distance") else "worse"
