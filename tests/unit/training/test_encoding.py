"""Bytes to latents: in order, at every side, as one by one."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from components.data.config import DecodeLimits
from components.models.autoencoder import build_autoencoder, encode_latents
from components.models.config import AutoencoderConfig
from components.training.encoding import encode_images, to_images

LIMITS = DecodeLimits(max_pixels=10_000, max_bytes=100_000, max_ratio=100.0)


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(0)
    return build_autoencoder(AutoencoderConfig(2, (4, 4, 8, 8), 1, 2)).eval().requires_grad_(False)


def png(pixels_u8: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels_u8).save(buffer, "PNG")
    return buffer.getvalue()


def test_latents_are_those_of_each_image_alone(autoencoder):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    done: list[int] = []
    encoded = encode_images(autoencoder, [png(p) for p in pixels], (32, 64), LIMITS, 2, done.append)
    assert done == [2, 4, 5]
    assert {side: array.shape for side, array in encoded.items()} == {32: (5, 8, 2, 2), 64: (5, 8, 4, 4)}
    for number, one in enumerate(pixels):
        alone = encode_latents(autoencoder, to_images(one[None]))
        np.testing.assert_allclose(encoded[64][number], alone[0].numpy(), rtol=2e-3, atol=2e-3)


def test_bytes_become_the_range_from_minus_one_to_one():
    pixels = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    assert to_images(pixels).ravel().tolist() == pytest.approx([-1, -0.6, 1])
