"""What the models of a chain are asked, and what they draw: every held-out split, and words to spell."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLFlux2
from jaxtyping import Float, UInt8
from torch import Tensor

from components.data.prompts import Prompt
from components.models.autoencoder import decode_latents
from components.models.denoiser import Denoiser
from components.models.training_record import TrainingRecord
from components.models.transformer import load_transformer
from components.samplers.config import SamplingConfig
from components.samplers.drawing import draw_images, to_uint8

Images = UInt8[np.ndarray, "n height width 3"]
LETTERING = "rendered_text"
"""The split of prompts that ask for words in the picture."""


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
    worst that a model could do. `words` are those that each prompt wants to see in the picture; empty where none does.
    `enhanced` are the token states of the first prompts as the enhancer put them.
    """

    split: str
    prompts: Sequence[Prompt]
    texts: Sequence[Float[Tensor, "_ d"]]
    noise: Float[Tensor, "drawings n c h w"]
    noise_u8: Images
    real_u8: Images
    words: Sequence[str] = ()
    enhanced: Sequence[Float[Tensor, "_ d"]] = ()

    def told(self, model: Model) -> Sequence[Float[Tensor, "_ d"]]:
        """The token states that this model draws."""
        return self.enhanced if model.is_enhanced else self.texts


Drawn = Mapping[str, Mapping[str, Images]]
"""By model, then by split: an image for each prompt."""


@dataclass(frozen=True)
class Drawings:
    """What all models drew, once for each noise, and the seconds that each of them took for one image, decoded.

    A question with fewer noises than others is in the first rounds only.
    """

    rounds: Sequence[Drawn]
    seconds_per_image: Mapping[str, float]

    @property
    def num_images(self) -> int:
        """Of all models."""
        return sum(len(images) for drawn in self.rounds for of_model in drawn.values() for images in of_model.values())


def make_question(
    autoencoder: AutoencoderKLFlux2,
    prompts: Sequence[Prompt],
    texts: Sequence[Float[Tensor, "_ d"]],
    latent_shape: tuple[int, ...],
    real_u8: Images,
    batch_size: int,
    num_drawings: int,
    seed: int,
    words: Sequence[str] = (),
) -> Question:
    """The question of one split; the noise depends on `seed` and on the number of prompts only."""
    generator, shape = torch.Generator().manual_seed(seed), (len(prompts), *latent_shape)
    noise = torch.stack([torch.randn(shape, generator=generator) for _ in range(num_drawings)])
    decoded = [to_uint8(decode_latents(autoencoder, part)) for part in noise[0].split(batch_size)]
    return Question(prompts[0].split, prompts, texts, noise, np.concatenate(decoded), real_u8, words)


def load_model(directory: Path, record: TrainingRecord, sampling: SamplingConfig) -> Model:
    """The averaged weights that a training stage left, drawn as they were distilled to be, others with `sampling`."""
    if few := record.few_steps:
        sampling = replace(sampling, num_sampling_steps=few.num_steps, guidance_scale=few.guidance_scale)
    return Model(Denoiser(load_transformer(directory / "transformer")), record.shift, sampling)


def draw_all(
    models: Mapping[str, Model],
    autoencoder: AutoencoderKLFlux2,
    empty: Float[Tensor, "_ d"],
    questions: Sequence[Question],
    on_progress: Callable[[int, int], None],
) -> Drawings:
    """What each model draws when asked each question; `on_progress(done, total)` counts images."""
    of_model = {
        name: sum(len(question.noise) * len(question.told(model)) for question in questions)
        for name, model in models.items()
    }
    rounds: list[dict[str, dict[str, Images]]] = [{} for _ in range(max(len(question.noise) for question in questions))]
    seconds: dict[str, float] = {}
    done, total = 0, sum(of_model.values())
    for name, model in models.items():
        started = time.perf_counter()
        for question in questions:
            for drawn, noise in zip(rounds, question.noise, strict=False):

                def on_batch(of_question: int, before: int = done) -> None:
                    on_progress(before + of_question, total)

                images = _draw(model, autoencoder, question.told(model), empty, noise, on_batch)
                drawn.setdefault(name, {})[question.split] = images
                done += len(images)
        seconds[name] = (time.perf_counter() - started) / of_model[name]
    return Drawings(rounds, seconds)


def _draw(
    model: Model,
    autoencoder: AutoencoderKLFlux2,
    texts: Sequence[Float[Tensor, "_ d"]],
    empty: Float[Tensor, "_ d"],
    noise: Float[Tensor, "n c h w"],
    on_batch: Callable[[int], None],
) -> Images:
    """An image for each text, drawn in the order of their lengths: a batch is padded to its longest text."""
    order = np.argsort([len(text) for text in texts], kind="stable")
    images = draw_images(
        model.denoiser,
        autoencoder,
        [texts[place] for place in order],
        empty,
        noise[order],
        config=model.sampling,
        shift=model.shift,
        on_batch=on_batch,
    )
    return images[np.argsort(order)]
