"""The autoencoder's training: it learns, it repeats itself, its statistics are those of its latents."""

import numpy as np
import pytest
import torch

from components.models.autoencoder import build_autoencoder, encode_latents, encode_moments, patchify
from components.models.config import AutoencoderConfig
from components.objectives.config import ReconstructionWeights
from components.training import autoencoder as training
from components.training.config import AutoencoderTraining, ResolutionShare

TINY = AutoencoderConfig(latent_channels=2, block_out_channels=(4, 4, 8, 8), layers_per_block=1, norm_num_groups=2)


def config(steps: int = 12, **changes) -> AutoencoderTraining:
    settings = {
        "steps": steps,
        "learning_rate": 1e-2,
        "warmup_steps": 2,
        "weight_decay": 0.0,
        "gradient_clip": 1.0,
        "latent_noise": 0.1,
        "resolutions": (ResolutionShare(64, 2, 1.0), ResolutionShare(32, 4, 1.0)),
        "weights": ReconstructionWeights(1.0, 1.0, 1.0, 1e-3, 0.5),
        "seed": 0,
    }
    return AutoencoderTraining(**(settings | changes))


@pytest.fixture
def pixels_u8() -> np.ndarray:
    """Sixteen pictures of one coloured square on white."""
    rng = np.random.default_rng(0)
    pixels = np.full((16, 64, 64, 3), 255, np.uint8)
    for picture in pixels:
        top, left = rng.integers(0, 32, 2)
        picture[top : top + 32, left : left + 32] = rng.integers(0, 255, 3)
    return pixels


def run(pixels_u8, settings):
    steps: list[training.AutoencoderStep] = []
    trained = training.train(TINY, settings, pixels_u8, lambda step, _: steps.append(step))
    return trained, steps


def test_the_loss_falls_and_every_term_is_reported(pixels_u8):
    _, steps = run(pixels_u8, config(40))
    l1 = [step.terms["l1"] for step in steps]
    assert np.mean(l1[-10:]) < 0.7 * np.mean(l1[:5])
    assert steps[-1].step == 40
    assert steps[-1].images_seen == sum(2 if "coarse_l1" in step.terms else 4 for step in steps)
    for step in steps:
        assert {"l1", "half_l1", "gradient_l1", "kl", "total"} <= set(step.terms)


def test_the_same_seed_gives_the_same_weights(pixels_u8):
    torch.manual_seed(1)
    one, _ = run(pixels_u8, config())
    torch.manual_seed(2)
    two, _ = run(pixels_u8, config())
    other, _ = run(pixels_u8, config(seed=1))
    weights = [torch.cat([w.flatten() for w in trained.parameters()]) for trained in (one, two, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_statistics_make_the_latents_standard(pixels_u8):
    trained, _ = run(pixels_u8, config(resolutions=(ResolutionShare(64, 2, 1.0),)))
    raw = patchify(encode_moments(trained, training.shrink(pixels_u8, 64))[0])
    torch.testing.assert_close(trained.bn.running_mean, raw.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(trained.bn.running_var, raw.var((0, 2, 3), correction=0), rtol=1e-3, atol=1e-6)
    latents = encode_latents(trained, training.shrink(pixels_u8, 64))
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(8), rtol=0, atol=1e-3)


def test_shrinking_averages_areas(pixels_u8):
    small = training.shrink(pixels_u8, 32)
    by_hand = pixels_u8.reshape(16, 32, 2, 32, 2, 3).mean((2, 4)).transpose(0, 3, 1, 2) / 127.5 - 1
    np.testing.assert_allclose(small.numpy(), by_hand, atol=1e-5)
    with pytest.raises(ValueError, match="64 px to 128 px"):
        training.shrink(pixels_u8, 128)


def test_the_rate_rises_and_falls_to_nothing():
    factors = [training.learning_rate_factor(step, config(100, warmup_steps=10)) for step in range(101)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0, abs=1e-12)


def test_psnr_of_a_known_error(pixels_u8, monkeypatch):
    autoencoder = build_autoencoder(TINY)
    monkeypatch.setattr(training, "encode_latents", lambda _, images: images)
    monkeypatch.setattr(training, "decode_latents", lambda _, images: images + 0.02)
    # 10 log10(2^2 / 0.02^2) = 40 dB.
    assert training.reconstruction_psnr_db(autoencoder, pixels_u8, 32) == pytest.approx(40.0, abs=1e-3)


def test_a_loss_that_is_not_finite_stops(pixels_u8):
    with pytest.raises(FloatingPointError, match="at step 1"):
        run(pixels_u8, config(weights=ReconstructionWeights(float("inf"), 1.0, 1.0, 1e-3, 0.5)))


@pytest.mark.parametrize("resolutions", [(), (ResolutionShare(40, 2, 1.0),), (ResolutionShare(32, 2, 0.0),)])
def test_resolutions_that_do_not_fit_are_refused(resolutions):
    with pytest.raises(ValueError, match="multiples of 16"):
        config(resolutions=resolutions)
