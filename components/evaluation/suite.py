"""The whole evaluation of a chain of models: judges from training images, then every held-out split, asked of all."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2
from jaxtyping import Float, UInt8
from torch import Tensor

from components.data.latents import EMPTY_TEXT, LatentStore
from components.data.prompts import Prompt
from components.evaluation.comparison import Guard, Metric, WinRate, compare, guard, pooled, win_rates
from components.evaluation.config import RetrievalConfig
from components.evaluation.held_out import pooled_texts, token_states
from components.evaluation.judging import Judges, Split, features_of, fit_reference, judge
from components.evaluation.report import Example, Section
from components.evaluation.retrieval import train_two_tower
from components.models.autoencoder import decode_latents
from components.models.denoiser import Denoiser
from components.models.image_features import ImageFeatures
from components.models.linear_probe import load_probe
from components.models.training_record import TrainingRecord
from components.models.transformer import load_transformer
from components.samplers.config import SamplingConfig
from components.samplers.drawing import draw_images, to_uint8

Images = UInt8[np.ndarray, "n height width 3"]
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
}


@dataclass(frozen=True)
class Model:
    """A network that draws, the shift of its time grid, how it is drawn, and whether the enhancer tells it what."""

    denoiser: Denoiser
    shift: float
    sampling: SamplingConfig
    is_enhanced: bool = False


@dataclass(frozen=True)
class Question:
    """What all models are asked: a split's prompts, each with its token states, its noises and its real image.

    There is a noise for each drawing of a prompt. `noise_u8` is the first of them decoded as if it were an image, the
    worst that a model could do. `enhanced` are the token states of the first prompts as the enhancer put them.
    """

    split: str
    prompts: Sequence[Prompt]
    texts: Sequence[Float[Tensor, "_ d"]]
    noise: Float[Tensor, "drawings n c h w"]
    noise_u8: Images
    real_u8: Images
    enhanced: Sequence[Float[Tensor, "_ d"]] = ()

    def told(self, model: Model) -> Sequence[Float[Tensor, "_ d"]]:
        """The token states that this model draws."""
        return self.enhanced if model.is_enhanced else self.texts


Drawn = Mapping[str, Mapping[str, Images]]
"""By model, then by split: an image for each prompt."""


@dataclass(frozen=True)
class Drawings:
    """What all models drew, once for each noise, and how many images each of them drew in a second, decoded."""

    rounds: Sequence[Drawn]
    images_per_s: Mapping[str, float]


def make_question(
    store: LatentStore,
    autoencoder: AutoencoderKLFlux2,
    prompts: Sequence[Prompt],
    real_u8: Images,
    batch_size: int,
    num_drawings: int,
    seed: int,
) -> Question:
    """The question of one split; the noise depends on `seed` and on the number of prompts only."""
    generator, shape = torch.Generator().manual_seed(seed), (len(prompts), *store.latents.shape[1:])
    noise = torch.stack([torch.randn(shape, generator=generator) for _ in range(num_drawings)])
    decoded = [to_uint8(decode_latents(autoencoder, part)) for part in noise[0].split(batch_size)]
    return Question(prompts[0].split, prompts, token_states(store, prompts), noise, np.concatenate(decoded), real_u8)


def load_model(directory: Path, record: TrainingRecord, sampling: SamplingConfig) -> Model:
    """The averaged weights that a training stage left, drawn as they were distilled to be, others with `sampling`."""
    if few := record.few_steps:
        sampling = replace(sampling, num_sampling_steps=few.num_steps, guidance_scale=few.guidance_scale)
    return Model(Denoiser(load_transformer(directory / "transformer")), record.shift, sampling)


def train_judges(
    store: LatentStore,
    prompts: Sequence[Prompt],
    images_u8: Images,
    classifier: Path,
    retrieval: RetrievalConfig,
    num_axes: int,
    seed: int,
) -> Judges:
    """The probes as they were saved, and towers and reference fitted to training images at the size of drawing."""
    (style, facts), (category, _) = load_probe(classifier, "style"), load_probe(classifier, "category")
    seen_as: Any = facts  # how the features that the probes were fitted on were made
    features = ImageFeatures(seen_as["px"], seen_as["precision"])
    seen = features_of(features, images_u8)
    towers = train_two_tower(torch.from_numpy(seen), torch.from_numpy(pooled_texts(store, prompts)), retrieval, seed)
    return Judges(features, style, category, towers, *fit_reference(seen, num_axes))


def draw_all(
    models: Mapping[str, Model],
    autoencoder: AutoencoderKLFlux2,
    store: LatentStore,
    questions: Sequence[Question],
    on_progress: Callable[[int, int], None],
) -> Drawings:
    """What each model draws when asked each question; `on_progress(done, total)` counts images."""
    empty = torch.from_numpy(store.texts.of(EMPTY_TEXT).astype(np.float32))
    num_rounds = len(questions[0].noise)
    of_model = {
        name: num_rounds * sum(len(question.told(model)) for question in questions) for name, model in models.items()
    }
    rounds: list[dict[str, dict[str, Images]]] = [{} for _ in range(num_rounds)]
    speeds: dict[str, float] = {}
    done, total = 0, sum(of_model.values())
    for name, model in models.items():
        started = time.perf_counter()
        for number, question in product(range(num_rounds), questions):

            def on_batch(of_question: int, before: int = done) -> None:
                on_progress(before + of_question, total)

            rounds[number].setdefault(name, {})[question.split] = draw_images(
                model.denoiser,
                autoencoder,
                question.told(model),
                empty,
                question.noise[number],
                config=model.sampling,
                shift=model.shift,
                on_batch=on_batch,
            )
            done += len(question.told(model))
        speeds[name] = of_model[name] / (time.perf_counter() - started)
    return Drawings(rounds, speeds)


def examine(
    judges: Judges, store: LatentStore, questions: Sequence[Question], drawn: Drawn, num_examples: int
) -> tuple[list[Section], list[Guard]]:
    """All prompts together, without examples, then each split with some; and the guards, over all prompts."""
    measured = [_measured(judges, store, question, drawn) for question in questions]
    together = [pooled(parts) for parts in zip(*measured, strict=True)]
    guards = [found for metric in together if metric.key in GUARDED for found in guard(metric, GUARD_LIMIT)]
    sections = [_section(EVERYTHING, sum(len(question.prompts) for question in questions), together, [])]
    for question, metrics in zip(questions, measured, strict=True):
        examples = [
            Example(
                prompt.text,
                {name: images[question.split][number] for name, images in drawn.items()},
                question.real_u8[number],
            )
            for number, prompt in enumerate(question.prompts[:num_examples])
        ]
        sections.append(_section(question.split, len(question.prompts), metrics, examples))
    return sections, guards


def _measured(judges: Judges, store: LatentStore, question: Question, drawn: Drawn) -> list[Metric]:
    split = Split(
        question.split,
        question.prompts,
        pooled_texts(store, question.prompts),
        generated={name: features_of(judges.features, images[question.split]) for name, images in drawn.items()},
        real=features_of(judges.features, question.real_u8),
        noise=features_of(judges.features, question.noise_u8),
    )
    return judge(judges, split)


def _section(split: str, num_prompts: int, metrics: Sequence[Metric], examples: Sequence[Example]) -> Section:
    title, question = QUESTIONS.get(split, (split, ""))
    rows = [row for metric in metrics for row in compare(metric, split)]
    return Section(split, title, question, num_prompts, rows, examples)


def preferred(
    judge_images: Callable[[Images, Sequence[Prompt]], Float[np.ndarray, " n"]],
    questions: Sequence[Question],
    rounds: Sequence[Drawn],
) -> list[WinRate]:
    """How often a judge prefers each model's images to those of the model before, over the prompts of all questions.

    It is asked about all images at once, because a judge may place its scores among those that it sees together.
    """
    models, prompts = list(rounds[0]), [prompt for question in questions for prompt in question.prompts]
    images = [drawn[name][question.split] for name in models for drawn in rounds for question in questions]
    scores = judge_images(np.concatenate(images), prompts * len(models) * len(rounds))
    return win_rates(dict(zip(models, scores.reshape(len(models), len(rounds), -1), strict=True)))
