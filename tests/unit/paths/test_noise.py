"""Noise with one generator per sample: its distribution, and what a sample's noise hangs on."""

import pytest
import torch
from scipy import stats

from components.paths.noise import generators_from, normal_noise


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_normal_within_a_sample_and_across_samples(dtype):
    noise = normal_noise(torch.empty(2000, 3, 2, 4, dtype=dtype), generators_from(range(2000)))
    assert noise.dtype == dtype
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 0.01
    assert stats.kstest(noise[:, 0, 0, 0].numpy(), "norm").pvalue > 0.01
    # Neighbouring seeds give unrelated samples: the correlation of 2000 pairs stays within 4 standard errors.
    assert abs(float(torch.corrcoef(noise[:, 0, 0, :2].T.double())[0, 1])) < 4 / 2000**0.5
    assert abs(float((noise[1:] * noise[:-1]).mean())) < 4 / noise.numel() ** 0.5


def test_a_sample_s_noise_hangs_on_its_own_generator_alone():
    like = torch.empty(6, 4, 4)
    whole = normal_noise(like, generators_from(range(6)))
    parts = [normal_noise(like[part], generators_from(range(6)[part])) for part in (slice(0, 1), slice(1, 6))]
    assert torch.equal(whole, torch.cat(parts))
    alone = torch.randn(4, 4, generator=torch.Generator().manual_seed(3))
    assert torch.equal(whole[3], alone)


def test_a_second_draw_is_other_noise():
    generators = generators_from(range(3))
    like = torch.empty(3, 5)
    assert not torch.equal(normal_noise(like, generators), normal_noise(like, generators))


def test_no_samples_need_no_generators():
    assert normal_noise(torch.empty(0, 2, 2), []).shape == (0, 2, 2)


def test_a_generator_too_few_is_refused():
    with pytest.raises(ValueError, match="2 generators for 3 samples"):
        normal_noise(torch.empty(3, 2), generators_from(range(2)))
