import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLFlux2

from components.data.prompts import Prompt
from components.evaluation.suite import Drawings, Model, Question, draw_all
from components.models.autoencoder import build_autoencoder
from components.models.config import AutoencoderConfig, DiTConfig
from components.models.denoiser import Denoiser
from components.models.transformer import build_transformer
from components.samplers.config import SamplingConfig
from components.samplers.drawing import draw_images

LENGTHS = (5, 1, 3, 1)
PROMPTS = [Prompt("", "cell", "", "", "", f"prompt {number}", number) for number in range(len(LENGTHS))]
SAMPLING = SamplingConfig(2, 2.0, batch_size=2)
EMPTY = torch.zeros(1, 8)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    network = build_transformer(DiTConfig(32, 1, 2, 48, (4, 6, 6), 256), 16, 8).eval()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return Model(Denoiser(network), 1.0, SAMPLING)


@pytest.fixture
def decoder() -> AutoencoderKLFlux2:
    torch.manual_seed(0)
    return build_autoencoder(AutoencoderConfig(4, (8, 8, 8, 8), 1, 4)).eval()


def question(split: str, num_drawings: int) -> Question:
    generator = torch.Generator().manual_seed(num_drawings)
    texts = [torch.randn(length, 8, generator=generator) for length in LENGTHS]
    noise = torch.randn(num_drawings, len(texts), 16, 2, 2, generator=generator)
    nothing = np.zeros((len(texts), 32, 32, 3), np.uint8)
    return Question(split, PROMPTS, texts, noise, nothing, nothing)


def test_every_prompt_gets_its_own_image_in_whatever_order(model: Model, decoder: AutoencoderKLFlux2) -> None:
    asked = question("cell", 2)
    drawn = draw_all({"base": model}, decoder, EMPTY, [asked], lambda done, total: None)
    for noise, images in zip(asked.noise, drawn.rounds, strict=True):
        for place, text in enumerate(asked.texts):
            alone = draw_images(
                model.denoiser, decoder, [text], EMPTY, noise[[place]], config=SAMPLING, shift=model.shift
            )
            different = np.abs(images["base"]["cell"][place].astype(int) - alone[0])
            assert different.max() <= 1  # rounding: a batch is padded


def test_a_question_with_fewer_noises_is_in_the_first_rounds_only(model: Model, decoder: AutoencoderKLFlux2) -> None:
    told: list[tuple[int, int]] = []
    questions = [question("cell", 2), question("words", 1)]
    models = {"base": model, "turbo": model}
    drawn: Drawings = draw_all(models, decoder, EMPTY, questions, lambda done, total: told.append((done, total)))
    assert [list(images["turbo"]) for images in drawn.rounds] == [["cell", "words"], ["cell"]]
    assert drawn.num_images == 2 * 3 * len(LENGTHS)
    assert told[-1] == (drawn.num_images, drawn.num_images)
    assert told == sorted(told)
    assert min(drawn.seconds_per_image.values()) > 0
