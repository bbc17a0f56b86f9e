"""A small encoded selection and a small network."""

import pytest
from tiny_training import tiny_denoiser, tiny_store

from components.data.latents import LatentStore
from components.models.denoiser import Denoiser


@pytest.fixture
def store() -> LatentStore:
    """Eight rows to train on, two of each held-out split."""
    return tiny_store()


@pytest.fixture
def denoiser() -> Denoiser:
    """A new network, the same in every test."""
    return tiny_denoiser()
