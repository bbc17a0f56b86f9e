"""Densities against their distribution functions, the shift against its inverse and its limits."""

import pytest
import torch
from scipy import stats

from components.paths.config import TimestepDensity
from components.paths.noise import generators_from
from components.paths.timesteps import draw_timesteps, shift_time

COUNT = 20_000


def unshift(t: torch.Tensor, shift: float) -> torch.Tensor:
    """The inverse of the shift: the shift by 1 / s."""
    return t / (shift - (shift - 1) * t)


@pytest.mark.parametrize("shift", [0.3, 1.0, 3.0, 4.0])
def test_the_shift_keeps_the_ends_and_the_order(shift):
    u = torch.linspace(0, 1, 1001, dtype=torch.float64)
    t = shift_time(u, shift)
    assert t[0] == 0
    assert t[-1] == 1
    assert (t.diff() > 0).all()
    torch.testing.assert_close(unshift(t, shift), u, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(shift_time(t, 1 / shift), u, rtol=1e-12, atol=1e-12)


def test_the_released_grid_of_eight_steps_is_this_shift():
    expected = [1, 0.9655, 0.9231, 0.8696, 0.8, 0.7059, 0.5714, 0.3636]
    t = shift_time(1 - torch.arange(8, dtype=torch.float64) / 8, 4.0)
    torch.testing.assert_close(t, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=5e-5)


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("kind", ["logit_normal", "uniform"])
def test_draws_follow_their_density(kind, shift):
    density = TimestepDensity(kind=kind, mean=0.3, std=1.4, shift=shift)
    t = draw_timesteps(density, generators_from(range(COUNT)))
    u = unshift(t.double(), shift).numpy()
    # Kolmogorov-Smirnov on the scale where the density is a known one.
    known = stats.norm(0.3, 1.4).cdf(stats.logistic.ppf(u)) if kind == "logit_normal" else u
    assert stats.kstest(known, "uniform").pvalue > 0.01
    assert 0 < t.min() <= t.max() < 1


@pytest.mark.parametrize("kind", ["logit_normal", "uniform"])
def test_a_sample_s_time_hangs_on_its_own_generator_alone(kind):
    density = TimestepDensity(kind=kind, mean=0.0, std=1.0, shift=2.0)
    whole = draw_timesteps(density, generators_from(range(100)))
    parts = [draw_timesteps(density, generators_from(part)) for part in (range(37), range(37, 38), range(38, 100))]
    assert torch.equal(whole, torch.cat(parts))


def test_a_shift_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="got 0"):
        shift_time(torch.tensor(0.5), 0.0)
    with pytest.raises(ValueError, match="got -1"):
        TimestepDensity(kind="uniform", mean=0.0, std=1.0, shift=-1.0)
