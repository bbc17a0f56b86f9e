import hashlib
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLFlux2
from PIL import Image
from torch import Tensor

from components.data.album import Album
from components.data.errors import DataError
from components.data.records import read_images
from components.models.autoencoder import build_autoencoder, decode_latents
from components.models.config import AutoencoderConfig
from components.models.denoiser import TextCondition
from components.preference.candidates import Artist, Drawn, draw_candidates
from components.preference.config import PairRules
from components.preference.judges import Asked, Images, Judge, Scores
from components.preference.prompts import split_of
from components.preference.questions import Question
from components.samplers.config import SamplingConfig
from components.samplers.drawing import to_uint8

RULES = PairRules(0.0, None, 1, "none", 0.3, 0)
QUESTIONS = [
    Question(Asked(f"thing {i}", "food", "blob"), np.full((2 + i % 2, 6), 0.1 * i, np.float16)) for i in range(4)
]


class Brightness:
    """Prefers light pictures; cannot judge what has no style."""

    name = "brightness"

    def can_judge(self, asked: Asked) -> bool:
        return asked.style != ""

    def __call__(self, images_u8: Images, asked: Sequence[Asked]) -> Scores:
        means = images_u8.reshape(len(images_u8), -1).mean(axis=1)
        return np.array([mean if self.can_judge(one) else np.nan for mean, one in zip(means, asked, strict=True)])


class Broken(Brightness):
    name = "broken"

    def __call__(self, images_u8: Images, asked: Sequence[Asked]) -> Scores:
        return np.where(np.arange(len(asked)) == 1, np.nan, 0.5)


def toward_text(x_t: Tensor, t: Tensor, condition: TextCondition) -> Tensor:
    """A velocity that depends on noise and text."""
    return x_t - (condition.states.sum(dim=(1, 2)) / condition.lengths).view(-1, 1, 1, 1)


def constant(x_t: Tensor, t: Tensor, condition: TextCondition) -> Tensor:
    """Leads every noise to zero."""
    return x_t / t.view(-1, 1, 1, 1)


@cache
def autoencoder() -> AutoencoderKLFlux2:
    torch.manual_seed(0)
    return build_autoencoder(AutoencoderConfig(4, (8, 8, 8, 8), 1, 4)).eval().requires_grad_(False)


def artist(velocity=toward_text, batch_size: int = 3) -> Artist:
    empty = np.zeros((1, 6), np.float16)
    return Artist(velocity, autoencoder(), "weights", empty, 1.5, (16, 2, 2), SamplingConfig(3, 2.0, batch_size))


def draw(folder: Path, own: Artist, judges: Sequence[Judge] = (Brightness(),), questions=QUESTIONS, seed=0) -> Drawn:
    album, told = Album(folder), list[tuple[int, int]]()
    drawn = draw_candidates(
        questions, 3, own, judges, album, RULES, seed, lambda done, total: told.append((done, total))
    )
    album.close()
    assert told[-1] == (3 * len(questions), 3 * len(questions))
    return drawn


def test_images_are_what_the_kept_latents_decode_to(tmp_path: Path) -> None:
    own = artist()
    drawn = draw(tmp_path, own)
    table = drawn.table()
    names = table.column("sample_id").to_pylist()
    assert len(set(names)) == 12
    for name, data in zip(names, read_images(tmp_path, names).column("bytes").to_pylist(), strict=True):
        assert name == hashlib.sha256(data).hexdigest()
        latent = torch.from_numpy(drawn.latents[name].astype(np.float32))[None]
        pixels = np.asarray(Image.open(io.BytesIO(data)))
        assert np.abs(pixels.astype(int) - to_uint8(decode_latents(own.autoencoder, latent))[0].astype(int)).max() <= 1


def test_rows_tell_prompt_seed_settings_split_and_scores(tmp_path: Path) -> None:
    rows = draw(tmp_path, artist()).table().to_pylist()
    assert [row["prompt"] for row in rows] == [f"thing {i}" for i in range(4) for _ in range(3)]
    assert len({row["seed"] for row in rows}) == len(rows)
    images = read_images(tmp_path, [row["sample_id"] for row in rows]).column("bytes").to_pylist()
    for row, data in zip(rows, images, strict=True):
        assert (row["width"], row["height"], row["model"]) == (32, 32, "weights")
        assert (row["guidance_scale"], row["num_sampling_steps"]) == (2.0, 3)
        assert row["split"] == split_of(row["prompt"], RULES)
        (score,) = row["scores"]
        assert score["judge"] == "brightness"
        assert score["score"] == pytest.approx(np.asarray(Image.open(io.BytesIO(data))).mean())


def test_a_seed_draws_the_same_again_whatever_the_batch(tmp_path: Path) -> None:
    first, again, other = (
        draw(tmp_path / str(number), artist(batch_size=batch), seed=seed)
        for number, (batch, seed) in enumerate([(3, 0), (12, 0), (3, 1)])
    )
    assert [row["seed"] for row in first.rows] == [row["seed"] for row in again.rows]
    for one, two in zip(first.latents.values(), again.latents.values(), strict=True):
        np.testing.assert_allclose(one, two, atol=2e-3)
    assert not set(first.latents) & set(other.latents)


def test_equal_images_are_one_and_are_counted(tmp_path: Path) -> None:
    drawn = draw(tmp_path, artist(constant))
    assert len(drawn.rows) == len(drawn.latents) == 1
    assert drawn.num_repeated == 11
    assert len(drawn.scores_of()["brightness"]) == 1


def test_what_a_judge_cannot_judge_has_no_score_of_it(tmp_path: Path) -> None:
    questions = [QUESTIONS[0], Question(Asked("no style", "food"), QUESTIONS[1].states)]
    table = draw(tmp_path, artist(), questions=questions).table()
    assert [len(scores) for scores in table.column("scores").to_pylist()] == [1, 1, 1, 0, 0, 0]


def test_a_judge_that_fails_is_named_with_the_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"judge 'broken' scored image [0-9a-f]{64} \('thing 0'\) as nan"):
        draw(tmp_path, artist(), [Brightness(), Broken()])
