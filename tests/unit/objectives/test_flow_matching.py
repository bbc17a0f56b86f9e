"""Flow matching against closed forms: one point, a Gaussian, finite differences."""

import pytest
import torch

from components.objectives.flow_matching import flow_matching_terms, velocity_error
from components.paths.config import TimestepDensity
from components.paths.interpolant import interpolate
from components.paths.noise import generators_from

STD = 0.7
UNIFORM = TimestepDensity(kind="uniform", mean=0.0, std=1.0, shift=1.0)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def best_for_gaussian(x: torch.Tensor, t: torch.Tensor, condition: None) -> torch.Tensor:
    """E[eps - x_0 | x_t] for data N(0, STD^2)."""
    t = t.reshape(-1, 1, 1, 1)
    return (t - (1 - t) * STD**2) / ((1 - t) ** 2 * STD**2 + t**2) * x


def test_the_true_velocity_has_no_error():
    x_0, eps, t = noise(6, 2, 4, 4), noise(6, 2, 4, 4, seed=1), torch.rand(6, dtype=torch.float64)
    error = velocity_error(lambda x, t, c: eps - x_0, None, x_0, eps, t)
    assert torch.equal(error, torch.zeros(6, dtype=torch.float64))


def test_with_one_data_point_the_minimum_is_zero():
    point = noise(1, 2, 4, 4)
    eps, t = noise(50, 2, 4, 4, seed=1), torch.linspace(0.05, 1, 50, dtype=torch.float64)
    x_0 = point.expand(50, -1, -1, -1)
    # All of x_t - x_0 is noise: v = (x_t - x_0) / t.
    error = velocity_error(lambda x, t, c: (x - point) / t.reshape(-1, 1, 1, 1), None, x_0, eps, t)
    assert float(error.max()) < 1e-24


@pytest.mark.parametrize("time", [0.2, 0.5, 0.9])
def test_with_gaussian_data_the_minimum_is_the_conditional_variance(time):
    x_0, eps = STD * noise(400, 4, 8, 8), noise(400, 4, 8, 8, seed=1)
    t = torch.full((400,), time, dtype=torch.float64)
    error = velocity_error(best_for_gaussian, None, x_0, eps, t).mean()
    # Var(eps - x_0) - Cov(eps - x_0, x_t)^2 / Var(x_t).
    variance = (1 - time) ** 2 * STD**2 + time**2
    expected = 1 + STD**2 - (time - (1 - time) * STD**2) ** 2 / variance
    assert float(error) == pytest.approx(expected, rel=0.02)
    worse = velocity_error(lambda x, t, c: 1.1 * best_for_gaussian(x, t, c), None, x_0, eps, t).mean()
    assert worse > error


def test_a_network_that_says_zero_pays_one_plus_the_variance_of_the_data():
    x_0 = STD * noise(500, 4, 8, 8)
    terms = flow_matching_terms(lambda x, t, c: torch.zeros_like(x), None, x_0, UNIFORM, generators_from(range(500)))
    assert set(terms) == {"flow_matching"}
    assert float(terms["flow_matching"]) == pytest.approx(1 + STD**2, rel=0.01)


def test_the_gradient_agrees_with_finite_differences():
    x_0, eps, t = noise(3, 2, 2, 2), noise(3, 2, 2, 2, seed=1), torch.rand(3, dtype=torch.float64)
    weight = noise(2, 2, seed=2).requires_grad_()

    def loss(weight: torch.Tensor) -> torch.Tensor:
        def model(x: torch.Tensor, t: torch.Tensor, c: None) -> torch.Tensor:
            return torch.tanh(torch.einsum("bchw,dc->bdhw", x, weight)) * t.reshape(-1, 1, 1, 1)

        return velocity_error(model, None, x_0, eps, t).mean()

    assert torch.autograd.gradcheck(loss, (weight,), eps=1e-6, atol=1e-8)


def test_the_network_sees_the_point_of_the_path_at_the_time_it_is_told():
    x_0, eps, t = noise(3, 2, 2, 2), noise(3, 2, 2, 2, seed=1), torch.rand(3, dtype=torch.float64)
    seen: list[torch.Tensor] = []

    def model(x: torch.Tensor, t: torch.Tensor, c: str) -> torch.Tensor:
        seen.extend([x, t])
        return x

    velocity_error(model, "text", x_0, eps, t)
    torch.testing.assert_close(seen[0], interpolate(x_0, eps, t))
    assert torch.equal(seen[1], t)


def test_the_generators_decide_times_and_noise():
    x_0 = noise(8, 2, 4, 4)
    one, same, other = (
        flow_matching_terms(best_for_gaussian, None, x_0, UNIFORM, generators_from(range(seed, seed + 8)))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one["flow_matching"], same["flow_matching"])
    assert not torch.equal(one["flow_matching"], other["flow_matching"])


def test_a_batch_cut_in_parts_sees_the_same_times_and_noises():
    x_0 = noise(8, 2, 4, 4)
    seen: list[torch.Tensor] = []

    def model(x: torch.Tensor, t: torch.Tensor, c: None) -> torch.Tensor:
        seen.append(torch.cat([t.reshape(-1, 1), x.flatten(1)], dim=1))
        return x

    for part in (slice(0, 8), slice(0, 3), slice(3, 8)):
        flow_matching_terms(model, None, x_0[part], UNIFORM, generators_from(range(8)[part]))
    assert torch.equal(seen[0], torch.cat(seen[1:]))
