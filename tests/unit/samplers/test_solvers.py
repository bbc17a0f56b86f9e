"""Every sampler against equations whose solutions are known."""

import math
from itertools import pairwise

import pytest
import torch

from components.samplers.solvers import SAMPLERS
from components.samplers.time_grid import shifted_time_grid

ORDER = {"euler": 1, "heun": 2}
STD, MEAN = 0.6, 1.5


def grid(num_steps: int) -> torch.Tensor:
    return torch.linspace(1, 0, num_steps + 1, dtype=torch.float64)


def growth(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """dx/dt = 1.3 x."""
    return 1.3 * x


def gaussian_velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """E[eps - x_0 | x_t] for data N(MEAN, STD^2): linear in x_t."""
    t = t[:, None]
    variance = (1 - t) ** 2 * STD**2 + t**2
    return -MEAN + (t - (1 - t) * STD**2) / variance * (x - (1 - t) * MEAN)


def test_every_sampler_has_a_stated_order():
    assert set(ORDER) == set(SAMPLERS)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_error_falls_with_the_order(name):
    x = torch.ones(1, 1, dtype=torch.float64)
    errors = [abs(float(SAMPLERS[name](growth, x, grid(n))) - math.exp(-1.3)) for n in (40, 80, 160)]
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(2 ** ORDER[name], rel=0.06)


@pytest.mark.parametrize("name", SAMPLERS)
def test_noise_becomes_the_gaussian_the_velocity_belongs_to(name):
    noise = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    drawn = SAMPLERS[name](gaussian_velocity, noise, grid(200))
    # The exact flow is the affine map to MEAN + STD * noise.
    torch.testing.assert_close(drawn, MEAN + STD * noise, rtol=0, atol=0.04 if name == "euler" else 5e-4)
    assert float(drawn.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(drawn.std()) == pytest.approx(STD, abs=0.02)


@pytest.mark.parametrize("name", SAMPLERS)
def test_backward_after_forward_returns(name):
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    times = grid(100)
    returned = SAMPLERS[name](growth, SAMPLERS[name](growth, x, times), times.flip(0))
    tolerance = {"euler": 0.02, "heun": 2e-4}[name]
    torch.testing.assert_close(returned, x, rtol=tolerance, atol=0)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_straight_path_is_exact_in_one_step(name):
    x_0, eps = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    landed = SAMPLERS[name](lambda x, t: eps - x_0, eps, grid(1))
    torch.testing.assert_close(landed, x_0, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sample_does_not_depend_on_its_company(name):
    noise = torch.randn(6, 1, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    together = SAMPLERS[name](gaussian_velocity, noise, grid(8))
    alone = torch.cat([SAMPLERS[name](gaussian_velocity, one[None], grid(8)) for one in noise])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("num_steps", "shift"), [(8, 4.0), (50, 3.0), (20, 1.5), (1, 4.0)])
def test_the_grid_is_the_one_of_diffusers(num_steps, shift):
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift)
    # As `ErnieImagePipeline` sets it.
    scheduler.set_timesteps(sigmas=torch.linspace(1.0, 0.0, num_steps + 1)[:-1].numpy())
    times = shifted_time_grid(num_steps, shift)
    torch.testing.assert_close(times, scheduler.sigmas, rtol=0, atol=1e-6)
    torch.testing.assert_close(1000 * times[:-1], scheduler.timesteps, rtol=1e-6, atol=1e-3)


def test_a_grid_needs_a_step():
    with pytest.raises(ValueError, match="got 0"):
        shifted_time_grid(0, 4.0)
