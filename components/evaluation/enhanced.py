"""What the prompt enhancer changes: the same models, prompts and noises, with its words and without.

Judges are told the prompt as it was: an enhancer that changes what was asked for loses by it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

import numpy as np
from jaxtyping import Float
from torch import Tensor

from components.data.prompts import Prompt
from components.evaluation.comparison import Metric, Row, WinRate, compare, pooled
from components.evaluation.examination import EVERYTHING, examples_of, preferred
from components.evaluation.lettering import Reader, letters_read
from components.evaluation.measuring import Eyes, measured
from components.evaluation.report import ENHANCED, EnhancerGrid, Rewritten
from components.evaluation.suite import Drawn, Images, Model, Question

Scored = Callable[[Images, Sequence[Prompt]], Float[np.ndarray, " n"]]
"""A score of each image for its prompt, NaN where there is nothing to go by."""


def with_enhancer(models: Mapping[str, Model]) -> dict[str, Model]:
    """All models, and each once more, told by the enhancer what to draw."""
    return {**models, **{f"{name}{ENHANCED}": replace(model, is_enhanced=True) for name, model in models.items()}}


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
        words=question.words[:num],
    )


def enhancer_grid(
    eyes: Eyes,
    read: Reader,
    questions: Sequence[Question],
    rounds: Sequence[Drawn],
    rewritten: Mapping[str, Rewritten],
    prefer: Scored,
    num_examples: int,
) -> EnhancerGrid | None:
    """Every model that was drawn with the enhancer beside itself without: scores, differences, wins and examples.

    Over all prompts that were rewritten: of each kind alone there are too few. The scores are of the first drawing of
    each, the diversity and the wins of all. None where nothing was rewritten, because there is no enhancer.
    """
    if not rewritten:
        return None
    pairs = [(name.removesuffix(ENHANCED), name) for name in rounds[0] if name.endswith(ENHANCED)]
    cells = [name for pair in pairs for name in pair]
    questions = [rewritten_part(question) for question in questions]
    lengths = {question.split: len(question.prompts) for question in questions}
    rounds = [
        {name: {split: part[: lengths[split]] for split, part in drawn[name].items()} for name in cells}
        for drawn in rounds
    ]
    held_out = [question for question in questions if not question.words]
    together = [pooled(parts) for parts in zip(*measured(eyes, held_out, rounds, cells), strict=True)]
    of_words = {one.split: letters_read(read, one, rounds[0], cells) for one in questions if one.words}
    by_split = {EVERYTHING: together, **of_words}
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
        [example for question in questions for example in examples_of(question, rounds[0], num_examples)],
    )


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
