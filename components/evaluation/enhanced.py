"""What the prompt enhancer changes: the same models, prompts and noises, with its words and without.

Judges are told the prompt as it was: an enhancer that changes what was asked for loses by it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, takewhile

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from components.data.latents import LatentStore
from components.data.prompts import Prompt
from components.evaluation.comparison import Metric, Readings, Row, WinRate, compare, pooled
from components.evaluation.drift import diversity
from components.evaluation.held_out import pooled_texts
from components.evaluation.judging import Features, Judges, Split, features_of, judge
from components.evaluation.report import ENHANCED, EnhancerGrid, Example, Rewritten
from components.evaluation.suite import EVERYTHING, Drawn, Images, Model, Question, preferred

Scored = Callable[[Images, Sequence[Prompt]], Float[np.ndarray, " n"]]
"""A score of each image for its prompt, NaN where there is nothing to go by."""


def with_enhancer(models: Mapping[str, Model], names: Sequence[str]) -> dict[str, Model]:
    """All models, and those of `names` once more, told by the enhancer what to draw."""
    return {**models, **{f"{name}{ENHANCED}": replace(models[name], is_enhanced=True) for name in names}}


def in_other_words(
    question: Question,
    rewritten: Mapping[str, Rewritten],
    encode: Callable[[Sequence[str]], Sequence[Float[Tensor, "_ d"]]],
) -> Question:
    """The question with the token states of what the enhancer made of its first prompts, those in `rewritten`.

    A prompt whose answer was refused keeps its own.
    """
    found = [rewritten[prompt.text] for prompt in takewhile(lambda prompt: prompt.text in rewritten, question.prompts)]
    texts = [one.text for one in found if one.was_enhanced]
    states = iter(encode(texts) if texts else ())
    return replace(
        question,
        enhanced=[next(states) if one.was_enhanced else text for one, text in zip(found, question.texts, strict=False)],
    )


def rewritten_part(question: Question) -> Question:
    """The question with only those prompts that the enhancer rewrote."""
    num = len(question.enhanced)
    return replace(
        question,
        prompts=question.prompts[:num],
        texts=question.texts[:num],
        noise=question.noise[:, :num],
        noise_u8=question.noise_u8[:num],
        real_u8=question.real_u8[:num],
    )


def enhancer_grid(
    judges: Judges,
    store: LatentStore,
    questions: Sequence[Question],
    rounds: Sequence[Drawn],
    rewritten: Mapping[str, Rewritten],
    prefer: Scored,
    read: Scored | None,
    num_examples: int,
) -> EnhancerGrid:
    """Every model that was drawn with the enhancer beside itself without: scores, differences, wins and examples.

    Over the prompts that were rewritten. The scores are of the first drawing of each, the diversity and the wins of
    all. `read` says how much of the words that a prompt quotes can be read in an image; None where nobody reads.
    """
    pairs = [(name.removesuffix(ENHANCED), name) for name in rounds[0] if name.endswith(ENHANCED)]
    questions = [rewritten_part(question) for question in questions]
    lengths = {question.split: len(question.prompts) for question in questions}
    rounds = [
        {name: {split: part[: lengths[split]] for split, part in images.items()} for name, images in drawn.items()}
        for drawn in rounds
    ]
    cells = [name for pair in pairs for name in pair]
    measured = [_measured(judges, store, question, rounds, cells, read) for question in questions]
    by_split = {EVERYTHING: _together(measured)}
    by_split |= {question.split: metrics for question, metrics in zip(questions, measured, strict=True)}
    return EnhancerGrid(
        cells,
        [
            row
            for split, metrics in by_split.items()
            for metric in metrics
            for row in rows_of_pairs(metric, split, pairs)
        ],
        list(_wins(prefer, questions, rounds, pairs)),
        [rewritten[prompt.text] for question in questions for prompt in question.prompts],
        [example for question in questions for example in _examples(question, rounds[0], cells, num_examples)],
    )


def _measured(
    judges: Judges,
    store: LatentStore,
    question: Question,
    rounds: Sequence[Drawn],
    cells: Sequence[str],
    read: Scored | None,
) -> list[Metric]:
    """All metrics of one split; those of letters only where two prompts quote some."""
    images = {name: [drawn[name][question.split] for drawn in rounds] for name in cells}
    seen = {name: np.stack([features_of(judges.features, part) for part in parts]) for name, parts in images.items()}
    real, noise = (features_of(judges.features, part) for part in (question.real_u8, question.noise_u8))
    texts = pooled_texts(store, question.prompts)
    first = {name: features[0] for name, features in seen.items()}
    metrics = judge(judges, Split(question.split, question.prompts, texts, first, real, noise))
    if len(rounds) > 1:
        metrics.append(variety(seen, real))
    if read:
        letters = lettering(
            read, question.prompts, {name: parts[0] for name, parts in images.items()}, question.real_u8
        )
        metrics += [letters] if len(letters.real) > 1 else []
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
        lambda readings: float(readings.mean()),
        {model: apart(features) for model, features in seen.items()},
        others,
        others,
    )


def lettering(read: Scored, prompts: Sequence[Prompt], images: Mapping[str, Images], real_u8: Images) -> Metric:
    """How many of the words that a prompt quotes can be read; chance reads them in the real image of another prompt."""
    found = {name: read(part, prompts) for name, part in [*images.items(), ("", real_u8)]}
    quoting = ~np.isnan(found[""])
    readings = {name: scores[quoting][:, None] for name, scores in found.items()}
    others = read(np.roll(real_u8, 1, axis=0), prompts)[quoting][:, None]
    return Metric(
        "lettering",
        "words that can be read",
        "similarity",
        "of the words that a prompt quotes, the share that a reader finds in the image, over prompts that quote some",
        lambda values: float(values.mean()),
        {name: readings[name] for name in images},
        readings[""],
        others,
    )


def _together(measured: Sequence[Sequence[Metric]]) -> list[Metric]:
    """Each metric over the prompts of all splits that have it."""
    metrics = sorted((metric for metrics in measured for metric in metrics), key=lambda metric: metric.key)
    parts = {key: list(same) for key, same in groupby(metrics, lambda metric: metric.key)}
    order = dict.fromkeys(metric.key for metrics in measured for metric in metrics)
    return [pooled(parts[key]) for key in order]


def rows_of_pairs(metric: Metric, split: str, pairs: Sequence[tuple[str, str]]) -> list[Row]:
    """The metric's rows of each model and of the same with the enhancer, which is compared with it."""
    return [
        row
        for pair in pairs
        for row in compare(replace(metric, generated={name: metric.generated[name] for name in pair}), split)
    ]


def _wins(
    prefer: Scored, questions: Sequence[Question], rounds: Sequence[Drawn], pairs: Sequence[tuple[str, str]]
) -> Iterator[WinRate]:
    for pair in pairs:
        yield from preferred(prefer, questions, [{name: drawn[name] for name in pair} for drawn in rounds])


def _examples(question: Question, drawn: Drawn, cells: Sequence[str], num_examples: int) -> list[Example]:
    return [
        Example(prompt.text, {name: drawn[name][question.split][number] for name in cells}, question.real_u8[number])
        for number, prompt in enumerate(question.prompts[:num_examples])
    ]
