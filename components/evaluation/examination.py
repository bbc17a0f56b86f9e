"""How the models of a chain did: judges made of training images, sections of the report, guards, wins, worst cases."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from components.data.latents import LatentStore
from components.data.prompts import Prompt
from components.evaluation.comparison import Guard, Metric, WinRate, compare, guard, pooled, win_rates
from components.evaluation.config import RetrievalConfig
from components.evaluation.held_out import pooled_texts
from components.evaluation.judging import Judges, features_of, fit_reference
from components.evaluation.kernel_distance import KernelReference
from components.evaluation.lettering import Reader, letters_read
from components.evaluation.measuring import Eyes, Looks, measured
from components.evaluation.remembered import Remembered
from components.evaluation.report import Example, Section
from components.evaluation.retrieval import train_two_tower
from components.evaluation.suite import LETTERING, Drawn, Images, Question
from components.evaluation.winner import winner
from components.evaluation.worst import WorstOf, worst_of_categories
from components.models.image_features import CONTENT, ImageFeatures
from components.models.linear_probe import load_probe

EVERYTHING = "heldout"
GUARDED, GUARD_LIMIT = ("alignment", "lite0_frechet"), 0.05

# What each split asks, for a reader of the report.
QUESTIONS = {
    EVERYTHING: ("All held-out prompts", "Both kinds of prompts below, taken together."),
    "heldout_cell": (
        "Unseen pairs of style and concept",
        "Training saw the style and the concept, never together: can the model combine them?",
    ),
    "heldout_concept": (
        "Unseen concepts",
        "Training saw the concept in no style: do the words alone lead to the right kind of thing?",
    ),
    LETTERING: (
        "Words in the picture",
        "Training saw other words on signs: can the model spell? A reader looks for the words that each prompt quotes. "
        "What it finds in the same words set in type, in a picture of the same size, stands under real images: where "
        "that is much, letters that it cannot read in a drawing are the model's fault, not the size's.",
    ),
}


def open_eyes(
    store: LatentStore,
    prompts: Sequence[Prompt],
    images_u8: Images,
    classifier: Path,
    retrieval: RetrievalConfig,
    num_axes: int,
    seed: int,
    looks: Looks | None = None,
) -> Eyes:
    """The probes as they were saved, and towers and references fitted to training images at the size of drawing."""
    (style, facts), (category, _) = load_probe(classifier, "style"), load_probe(classifier, "category")
    seen_as: Any = facts  # how the features that the probes were fitted on were made
    features = ImageFeatures(seen_as["px"], seen_as["precision"])
    seen = features_of(features, images_u8)
    towers = train_two_tower(torch.from_numpy(seen), torch.from_numpy(pooled_texts(store, prompts)), retrieval, seed)
    judges = Judges(features, style, category, towers, *fit_reference(seen, num_axes))
    return Eyes(judges, Remembered(partial(features_of, features)), KernelReference(seen[:, CONTENT]), looks)


def examine(
    eyes: Eyes, read: Reader, questions: Sequence[Question], drawn: Sequence[Drawn], num_examples: int
) -> tuple[list[Section], list[Guard], list[WorstOf]]:
    """All held-out prompts together, without examples, then each question with some; and, over all of them, guards.

    Questions that ask for words are not among all: they are read, and judged by nothing else.
    """
    names, held_out = list(drawn[0]), [question for question in questions if not question.words]
    found = measured(eyes, held_out, drawn, names)
    together = [pooled(parts) for parts in zip(*found, strict=True)]
    guards = [one for metric in together if metric.key in GUARDED for one in guard(metric, GUARD_LIMIT)]
    sections = [_section(EVERYTHING, sum(len(question.prompts) for question in held_out), together, [])]
    of_words = [(question, letters_read(read, question, drawn[0], names)) for question in questions if question.words]
    for question, metrics in [*zip(held_out, found, strict=True), *of_words]:
        examples = examples_of(question, drawn[0], num_examples)
        sections.append(_section(question.split, len(question.prompts), metrics, examples))
    alignment = next(metric for metric in together if metric.key == "alignment")
    return sections, guards, worst_of_categories(alignment, held_out, drawn[0])


def examples_of(question: Question, drawn: Drawn, num_examples: int) -> list[Example]:
    """What every model drew first for the question's first prompts, from the same noises."""
    return [
        Example(
            prompt.text,
            {name: images[question.split][number] for name, images in drawn.items()},
            question.real_u8[number],
        )
        for number, prompt in enumerate(question.prompts[:num_examples])
    ]


def _section(split: str, num_prompts: int, metrics: Sequence[Metric], examples: Sequence[Example]) -> Section:
    title, question = QUESTIONS.get(split, (split, ""))
    rows = [row for metric in metrics for row in compare(metric, split)]
    winners = {one.key: winner(one) for one in metrics} if split in (EVERYTHING, LETTERING) else {}
    return Section(split, title, question, num_prompts, rows, examples, winners)


def preferred(
    judge_images: Callable[[Images, Sequence[Prompt]], Float[np.ndarray, " n"]],
    questions: Sequence[Question],
    rounds: Sequence[Drawn],
) -> list[WinRate]:
    """How often a judge prefers each model's images to those of the model before, over the prompts of all questions.

    Questions that ask for words are left out. It is asked about all images at once, because a judge may place its
    scores among those that it sees together.
    """
    asked = [question for question in questions if not question.words]
    models, prompts = list(rounds[0]), [prompt for question in asked for prompt in question.prompts]
    images = [drawn[name][question.split] for name in models for drawn in rounds for question in asked]
    scores = judge_images(np.concatenate(images), prompts * len(models) * len(rounds))
    return win_rates(dict(zip(models, scores.reshape(len(models), len(rounds), -1), strict=True)))
