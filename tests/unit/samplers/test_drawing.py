from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLFlux2
from torch import Tensor

from components.models.autoencoder import build_autoencoder, decode_latents
from components.models.config import AutoencoderConfig, DiTConfig
from components.models.denoiser import Denoiser
from components.models.transformer import build_transformer
from components.samplers.config import SamplingConfig
from components.samplers.drawing import draw_images, to_uint8


@pytest.fixture(scope="module")
def autoencoder() -> AutoencoderKLFlux2:
    torch.manual_seed(0)
    return build_autoencoder(AutoencoderConfig(4, (8, 8, 8, 8), 1, 4)).eval().requires_grad_(False)


@pytest.fixture
def denoiser() -> Denoiser:
    torch.manual_seed(1)
    transformer = build_transformer(DiTConfig(32, 1, 2, 48, (4, 6, 6), 256), 16, 12)
    for weight in transformer.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return Denoiser(transformer.eval())


def texts(num: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(3 + i % 3, 12, generator=generator) for i in range(num)]


def noise(num: int) -> Tensor:
    return torch.randn(num, 16, 2, 2, generator=torch.Generator().manual_seed(3))


def drawn(denoiser: torch.nn.Module, autoencoder: AutoencoderKLFlux2, **changes: Any) -> np.ndarray:
    config = SamplingConfig(**{"num_sampling_steps": 3, "guidance_scale": 2.0, "batch_size": 4} | changes)
    return draw_images(denoiser, autoencoder, texts(5), torch.zeros(2, 12), noise(5), config=config, shift=3.0)


def test_the_batch_size_does_not_change_the_images(denoiser: Denoiser, autoencoder: AutoencoderKLFlux2) -> None:
    one, many = drawn(denoiser, autoencoder, batch_size=1), drawn(denoiser, autoencoder, batch_size=5)
    assert one.shape == (5, 32, 32, 3)
    assert np.abs(one.astype(int) - many.astype(int)).max() <= 1


def test_guidance_changes_them(denoiser: Denoiser, autoencoder: AutoencoderKLFlux2) -> None:
    assert (drawn(denoiser, autoencoder, guidance_scale=1.0) != drawn(denoiser, autoencoder)).any()


@pytest.mark.parametrize(("guidance_scale", "expected"), [(1.0, 3), (2.0, 6)])
def test_the_network_runs_as_often_as_the_settings_say(
    denoiser: Denoiser, autoencoder: AutoencoderKLFlux2, guidance_scale: float, expected: int
) -> None:
    runs = list[int]()
    denoiser.transformer.register_forward_hook(lambda *_: runs.append(1))
    drawn(denoiser, autoencoder, guidance_scale=guidance_scale, batch_size=5)
    assert len(runs) == SamplingConfig(3, guidance_scale, 5).num_evaluations == expected


def test_a_model_that_answers_noise_returns_the_origin_decoded(autoencoder: AutoencoderKLFlux2) -> None:
    class Straight(torch.nn.Module):
        """v = x_t / t is the velocity of data that is all zero: Euler ends at 0 whatever the number of steps."""

        def forward(self, x_t: Tensor, t: Tensor, condition: object) -> Tensor:
            return x_t / t.view(-1, 1, 1, 1)

    images = drawn(Straight(), autoencoder, num_sampling_steps=7)
    expected = to_uint8(decode_latents(autoencoder, torch.zeros(1, 16, 2, 2)))
    assert np.abs(images.astype(int) - expected.astype(int)).max() <= 1


def test_bytes_are_rounded_and_clamped() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 1 / 255, 1.0, 9.0]).view(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert to_uint8(values)[0, 0, :, 0].tolist() == [0, 0, 128, 128, 255, 255]
