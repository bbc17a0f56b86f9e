"""The whole evaluation of one model: judges from training images, then every held-out split."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2
from jaxtyping import UInt8
from torch import Tensor

from components.data.latents import EMPTY_TEXT, LatentStore
from components.data.prompts import Prompt
from components.evaluation.config import RetrievalConfig
from components.evaluation.held_out import pooled_texts, token_states
from components.evaluation.judging import Judges, Split, features_of, fit_reference, judge
from components.evaluation.report import Example, Section
from components.evaluation.retrieval import train_two_tower
from components.models.autoencoder import decode_latents
from components.models.denoiser import Denoiser
from components.models.image_features import ImageFeatures
from components.models.linear_probe import LinearProbe
from components.samplers.config import SamplingConfig
from components.samplers.drawing import draw_images, to_uint8

Images = UInt8[np.ndarray, "n height width 3"]

# What each split asks, for a reader of the report.
QUESTIONS = {
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
    """The networks that draw, and the shift of their time grid."""

    denoiser: Denoiser
    autoencoder: AutoencoderKLFlux2
    shift: float


def train_judges(
    store: LatentStore,
    prompts: Sequence[Prompt],
    images_u8: Images,
    features: ImageFeatures,
    probes: Mapping[str, LinearProbe],
    retrieval: RetrievalConfig,
    num_axes: int,
    seed: int,
) -> Judges:
    """The probes as given, and towers and reference fitted to training images at the size the model draws."""
    seen = features_of(features, images_u8)
    towers = train_two_tower(torch.from_numpy(seen), torch.from_numpy(pooled_texts(store, prompts)), retrieval, seed)
    return Judges(probes["style"], probes["category"], towers, *fit_reference(seen, num_axes))


def evaluate_splits(
    model: Model,
    judges: Judges,
    features: ImageFeatures,
    store: LatentStore,
    splits: Mapping[str, tuple[Sequence[Prompt], Images]],
    *,
    sampling: SamplingConfig,
    num_examples: int,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> list[Section]:
    """`evaluate_split` of each split's (prompts, real images); `on_progress(done, total)` counts images drawn."""
    total = sum(len(prompts) for prompts, _ in splits.values())
    sections: list[Section] = []
    for prompts, real_u8 in splits.values():
        before = sum(section.num_prompts for section in sections)

        def on_batch(done: int, before: int = before) -> None:
            on_progress(before + done, total)

        sections.append(
            evaluate_split(
                model,
                judges,
                features,
                store,
                prompts,
                real_u8,
                sampling=sampling,
                num_examples=num_examples,
                seed=seed,
                on_batch=on_batch,
            )
        )
    return sections


def evaluate_split(
    model: Model,
    judges: Judges,
    features: ImageFeatures,
    store: LatentStore,
    prompts: Sequence[Prompt],
    real_u8: Images,
    *,
    sampling: SamplingConfig,
    num_examples: int,
    seed: int,
    on_batch: Callable[[int], None],
) -> Section:
    """Draw every prompt of a split, judge the images beside real ones and decoded noise, and keep some examples."""
    split = prompts[0].split
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(prompts), *store.latents.shape[1:], generator=generator)
    texts, empty = token_states(store, prompts), torch.from_numpy(store.texts.of(EMPTY_TEXT).astype(np.float32))
    generated_u8 = draw_images(
        model.denoiser, model.autoencoder, texts, empty, noise, config=sampling, shift=model.shift, on_batch=on_batch
    )
    rows = judge(
        judges,
        Split(
            split,
            prompts,
            pooled_texts(store, prompts),
            generated=features_of(features, generated_u8),
            real=features_of(features, real_u8),
            noise=features_of(features, _decoded(model.autoencoder, noise, sampling.batch_size)),
        ),
    )
    title, question = QUESTIONS.get(split, (split, ""))
    examples = [
        Example(prompt.text, generated, real)
        for prompt, generated, real in zip(prompts[:num_examples], generated_u8, real_u8, strict=False)
    ]
    return Section(split, title, question, len(prompts), rows, examples)


def _decoded(autoencoder: AutoencoderKLFlux2, latents: Tensor, batch_size: int) -> Images:
    return np.concatenate([to_uint8(decode_latents(autoencoder, part)) for part in latents.split(batch_size)])
