"""Images to choose between: drawn by the model for each question, judged as they come, and written once."""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from diffusers import AutoencoderKLFlux2
from jaxtyping import Float16, UInt8
from PIL import Image
from torch import Tensor

from components.data.album import Album
from components.data.order import order_key, seeds
from components.data.records import CANDIDATES
from components.models.autoencoder import decode_latents
from components.models.denoiser import TextCondition
from components.paths.noise import generators_from, normal_noise
from components.preference.config import PairRules
from components.preference.judges import Asked, Images, Judge, Scores, judge_all
from components.preference.prompts import split_of
from components.preference.questions import Question, States
from components.samplers.config import SamplingConfig
from components.samplers.drawing import draw_latents, to_uint8

Latent = Float16[np.ndarray, "c h w"]


@dataclass(frozen=True)
class Artist:
    """The networks that draw, the digest of their weights, the states of the empty prompt, and how they are asked."""

    denoiser: Callable[[Tensor, Tensor, TextCondition], Tensor]
    autoencoder: AutoencoderKLFlux2
    sha256: str
    empty_text: States
    shift: float
    latent_shape: tuple[int, int, int]
    sampling: SamplingConfig


@dataclass
class Drawn:
    """What was drawn: rows of `CANDIDATES` but for the scores, each judge's scores of them, latents by sample.

    Latents are kept in memory, as they are float16 and at most a few thousand are asked for at a time.
    """

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    scores: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    latents: dict[str, Latent] = field(default_factory=dict[str, Latent])
    num_repeated: int = 0

    def table(self) -> pa.Table:
        """The rows as `CANDIDATES`; a judge that had nothing to go by is not among an image's scores."""
        rows = [
            row | {"scores": [{"judge": name, "score": of[k]} for name, of in self.scores.items() if _is_told(of[k])]}
            for k, row in enumerate(self.rows)
        ]
        return pa.Table.from_pylist(rows, schema=CANDIDATES)

    def scores_of(self) -> dict[str, Scores]:
        """The scores of each judge, by its name, in the rows' order."""
        return {name: np.array(of, np.float64) for name, of in self.scores.items()}


def draw_candidates(
    questions: Sequence[Question],
    per_question: int,
    artist: Artist,
    judges: Sequence[Judge],
    album: Album,
    rules: PairRules,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> Drawn:
    """Draw `per_question` images for each question, each from a seed of its own, which its row records.

    An image is what its latent, kept in float16, decodes to. Of images with equal bytes the first stands, and the rest
    are counted. DataError if a judge gives no number where it should.
    """
    wanted = [question for question in questions for _ in range(per_question)]
    own_seeds = seeds(order_key("candidates", seed), 0, len(wanted)).tolist()
    noise = normal_noise(torch.empty(len(wanted), *artist.latent_shape), generators_from(own_seeds))
    states = [torch.from_numpy(question.states.astype(np.float32)) for question in wanted]
    empty = torch.from_numpy(artist.empty_text.astype(np.float32))
    batches = draw_latents(artist.denoiser, states, empty, noise, config=artist.sampling, shift=artist.shift)
    drawn, done = Drawn(), 0
    for batch in batches:
        latents = batch.half()
        images_u8 = to_uint8(decode_latents(artist.autoencoder, latents.float()))
        part = slice(done, done + len(latents))
        rows = [
            _row(question, own_seed, images_u8, artist, rules)
            for question, own_seed in zip(wanted[part], own_seeds[part], strict=True)
        ]
        _keep(drawn, rows, [one.asked for one in wanted[part]], images_u8, latents.numpy(), judges, album)
        done += len(latents)
        on_progress(done, len(wanted))
    return drawn


def png(image_u8: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """The image as PNG; equal pixels are equal bytes on one version of the writer."""
    buffer = io.BytesIO()
    Image.fromarray(image_u8).save(buffer, "PNG")
    return buffer.getvalue()


def _row(question: Question, seed: int, images_u8: Images, artist: Artist, rules: PairRules) -> dict[str, Any]:
    """A row of `CANDIDATES` without name and scores."""
    height, width = images_u8.shape[1:3]
    return {
        "prompt": question.asked.prompt,
        "category": question.asked.category,
        "style": question.asked.style,
        "split": split_of(question.asked.prompt, rules),
        "width": width,
        "height": height,
        "model": artist.sha256,
        "seed": seed,
        "guidance_scale": artist.sampling.guidance_scale,
        "num_sampling_steps": artist.sampling.num_sampling_steps,
    }


def _keep(
    drawn: Drawn,
    rows: Sequence[dict[str, Any]],
    asked: Sequence[Asked],
    images_u8: Images,
    latents: Float16[np.ndarray, "n c y x"],
    judges: Sequence[Judge],
    album: Album,
) -> None:
    """Judge a batch, and add those of its images that are new."""
    added = [album.add(png(image_u8)) for image_u8 in images_u8]
    scores = judge_all(judges, images_u8, asked, [name for name, _ in added])
    for number, (name, is_new) in enumerate(added):
        if not is_new:
            drawn.num_repeated += 1
            continue
        drawn.rows.append({"sample_id": name, **rows[number]})
        drawn.latents[name] = latents[number]
        for judge, of in scores.items():
            drawn.scores.setdefault(judge, []).append(float(of[number]))


def _is_told(score: float) -> bool:
    return not math.isnan(score)
