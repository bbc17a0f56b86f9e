"""The path, its velocity and the conversions, against derivatives and each other."""

from itertools import permutations

import pytest
import torch

from components.paths.interpolant import CONVERSIONS, interpolate, velocity


@pytest.fixture
def point() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x_0, eps = torch.randn(2, 5, 3, 4, 4, generator=generator, dtype=torch.float64)
    t = torch.rand(5, generator=generator, dtype=torch.float64) * 0.9 + 0.05
    return {"x_0": x_0, "eps": eps, "t": t, "x_t": interpolate(x_0, eps, t), "v": velocity(x_0, eps)}


def test_the_ends_are_exactly_data_and_noise(point):
    zero, one = torch.zeros(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)
    assert torch.equal(interpolate(point["x_0"], point["eps"], zero), point["x_0"])
    assert torch.equal(interpolate(point["x_0"], point["eps"], one), point["eps"])


# torch's forward mode compiles its own rules with its own deprecated function when it is first used.
@pytest.mark.filterwarnings("ignore:.*jit:DeprecationWarning")
def test_the_velocity_is_the_derivative_of_the_path(point):
    _, derivative = torch.func.jvp(
        lambda t: interpolate(point["x_0"], point["eps"], t), (point["t"],), (torch.ones_like(point["t"]),)
    )
    torch.testing.assert_close(derivative, point["v"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("source", "target"), list(permutations(("x_0", "eps", "v"), 2)))
def test_each_conversion_gives_the_true_value_and_returns(point, source, target):
    there = CONVERSIONS[(source, target)](point["x_t"], point[source], point["t"])
    back = CONVERSIONS[(target, source)](point["x_t"], there, point["t"])
    torch.testing.assert_close(there, point[target], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(back, point[source], rtol=1e-10, atol=1e-10)


def test_conversions_agree_with_the_scheduler_of_diffusers(point):
    """Its step from sigma to 0 along v must land on x_0."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0)
    scheduler.set_timesteps(sigmas=[0.7])
    x_t = interpolate(point["x_0"], point["eps"], torch.full((5,), 0.7, dtype=torch.float64))
    landed = scheduler.step(point["v"], scheduler.timesteps[0], x_t).prev_sample
    torch.testing.assert_close(landed, point["x_0"], rtol=1e-6, atol=1e-6, check_dtype=False)
