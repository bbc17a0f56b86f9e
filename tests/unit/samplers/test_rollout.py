"""A roll-out ends where the sampler that will be used would be, and fresh noise is the only other way."""

import pytest
import torch

from components.paths.interpolant import eps_from_v, interpolate, x_0_from_v
from components.paths.noise import generators_from
from components.samplers.rollout import ROLL_OUTS, roll_out_euler, roll_out_renoised
from components.samplers.solvers import euler
from components.samplers.time_grid import shifted_time_grid

GRID = shifted_time_grid(8, 4.0).double()


def velocity(x, t):
    return torch.sin(3 * x) + t[:, None]


def start(count=5):
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("step", range(8))
def test_every_step_s_input_leads_to_what_the_sampler_draws(step):
    x = roll_out_euler(velocity, start(), GRID[: step + 1])
    torch.testing.assert_close(euler(velocity, x, GRID[step:]), euler(velocity, start(), GRID), rtol=1e-12, atol=1e-12)


def test_an_euler_step_noises_predicted_data_with_predicted_noise():
    x = start()
    t, t_next = GRID[2].expand(5), GRID[3].expand(5)
    v = velocity(x, t)
    by_hand = interpolate(x_0_from_v(x, v, t), eps_from_v(x, v, t), t_next)
    torch.testing.assert_close(roll_out_euler(velocity, x, GRID[2:4]), by_hand, rtol=1e-12, atol=1e-12)


def test_renoised_states_have_the_stated_spread_whatever_was_predicted():
    many = torch.zeros(4000, 1, dtype=torch.float64)
    x = roll_out_renoised(lambda x, t: torch.zeros_like(x), many, GRID[:3], generators_from(range(4000)))
    # The prediction is what went in: after two steps (1 - t2) t1 of the first noise and t2 of the second are left.
    wanted = float((((1 - GRID[2]) * GRID[1]) ** 2 + GRID[2] ** 2).sqrt())
    assert float(x.std()) == pytest.approx(wanted, rel=0.04)


@pytest.mark.parametrize("name", ROLL_OUTS)
def test_no_gradient_flows_and_the_first_step_has_the_noise_itself(name):
    x = start().requires_grad_()
    rolled = ROLL_OUTS[name](velocity, x, GRID[:1], generators_from(range(5)))
    assert torch.equal(rolled, x)
    assert not ROLL_OUTS[name](velocity, x, GRID[:4], generators_from(range(5))).requires_grad
