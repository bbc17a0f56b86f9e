"""The latent space: packing, statistics, and agreement with what diffusers' pipeline undoes."""

import pytest
import torch
from diffusers import AutoencoderKLFlux2, ErnieImagePipeline

from components.models.autoencoder import (
    build_autoencoder,
    check_autoencoder,
    decode,
    decode_latents,
    denormalise,
    encode_latents,
    encode_moments,
    load_autoencoder,
    normalise,
    patchify,
    set_statistics,
    unpatchify,
)
from components.models.config import AutoencoderConfig

TINY = AutoencoderConfig(latent_channels=2, block_out_channels=(4, 4, 8, 8), layers_per_block=1, norm_num_groups=2)


@pytest.fixture(scope="module")
def autoencoder() -> AutoencoderKLFlux2:
    torch.manual_seed(0)
    built = build_autoencoder(TINY).eval().requires_grad_(False)
    set_statistics(built, torch.linspace(-1, 1, 8), torch.linspace(1e-6, 2, 8))
    return built


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_unpatchify_undoes_patchify():
    latents = noise(2, 5, 6, 4)
    assert torch.equal(unpatchify(patchify(latents)), latents)


@pytest.mark.parametrize(("c", "row", "column"), [(0, 0, 0), (1, 0, 1), (2, 1, 0), (4, 1, 1)])
def test_packed_channel_is_four_c_plus_two_row_plus_column(c, row, column):
    latents = noise(2, 5, 6, 4)
    assert torch.equal(patchify(latents)[:, 4 * c + 2 * row + column], latents[:, c, row::2, column::2])


def test_packing_is_that_of_the_pipeline():
    latents = noise(2, 5, 6, 4)
    assert torch.equal(patchify(latents), ErnieImagePipeline._patchify_latents(latents))
    assert torch.equal(unpatchify(patchify(latents)), ErnieImagePipeline._unpatchify_latents(patchify(latents)))


def test_denormalise_undoes_normalise(autoencoder):
    packed = noise(3, 8, 2, 2)
    torch.testing.assert_close(denormalise(autoencoder, normalise(autoencoder, packed)), packed, rtol=1e-4, atol=1e-5)


def test_normalised_data_have_mean_zero_and_variance_one(autoencoder):
    packed = noise(4000, 8, 1, 1) * torch.linspace(1e-6, 2, 8).sqrt().view(1, 8, 1, 1) + torch.linspace(-1, 1, 8).view(
        1, 8, 1, 1
    )
    normal = normalise(autoencoder, packed)
    torch.testing.assert_close(normal.mean((0, 2, 3)), torch.zeros(8), rtol=0, atol=0.06)
    # The first channel's variance is small against eps = 1e-5, which must show: 1e-6 / 1.1e-5.
    expected = torch.linspace(1e-6, 2, 8) / (torch.linspace(1e-6, 2, 8) + 1e-5)
    torch.testing.assert_close(normal.var((0, 2, 3)), expected, rtol=0.08, atol=0)


def test_decoding_is_what_the_pipeline_does_after_its_last_step(autoencoder):
    latents = noise(2, 8, 2, 2, seed=3)
    # The lines of `ErnieImagePipeline.__call__` after "Decode latents to images".
    mean = autoencoder.bn.running_mean.view(1, -1, 1, 1)
    std = torch.sqrt(autoencoder.bn.running_var.view(1, -1, 1, 1) + 1e-5)
    raw = ErnieImagePipeline._unpatchify_latents(latents * std + mean)
    expected = autoencoder.decode(raw, return_dict=False)[0].clamp(-1, 1)
    assert torch.equal(decode_latents(autoencoder, latents), expected)


def test_encoding_takes_the_mean_of_the_posterior(autoencoder):
    images = noise(2, 3, 32, 32).clamp(-1, 1)
    mean, log_variance = encode_moments(autoencoder, images)
    assert mean.shape == log_variance.shape == (2, 2, 4, 4)
    assert torch.equal(encode_latents(autoencoder, images), normalise(autoencoder, patchify(mean)))
    assert torch.equal(mean, autoencoder.encode(images).latent_dist.mode())


def test_an_image_shrinks_sixteen_times_and_returns(autoencoder):
    latents = encode_latents(autoencoder, noise(1, 3, 48, 64))
    assert latents.shape == (1, TINY.packed_channels, 3, 4)
    assert decode_latents(autoencoder, latents).shape == (1, 3, 48, 64)


def test_permuting_the_batch_permutes_the_images(autoencoder):
    latents, order = noise(4, 2, 4, 4), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(decode(autoencoder, latents[order]), decode(autoencoder, latents)[order])


def test_saved_and_loaded_it_is_the_same(autoencoder, tmp_path):
    autoencoder.save_pretrained(tmp_path / "autoencoder", safe_serialization=True)
    loaded = load_autoencoder(tmp_path / "autoencoder")
    latents = noise(1, 8, 2, 2)
    assert torch.equal(decode_latents(loaded, latents), decode_latents(autoencoder, latents))
    assert {file.suffix for file in (tmp_path / "autoencoder").iterdir()} == {".json", ".safetensors"}


def test_a_missing_autoencoder_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json is missing"):
        load_autoencoder(tmp_path)


def test_an_autoencoder_of_another_shape_is_refused_by_name(tmp_path):
    build_autoencoder(TINY).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"no 'flux2' autoencoder: latent channels and widths are \(2, \(4, 4, 8, 8\)"):
        check_autoencoder(tmp_path, "flux2")
    with pytest.raises(ValueError, match=r"are \(None, \(\)\)"):
        check_autoencoder(tmp_path / "nowhere", "embedded")
