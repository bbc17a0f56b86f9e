"""The reward beside distribution matching: the derivative it estimates, and where a Gaussian student comes to rest."""

import math

import pytest
import torch

from components.objectives.distribution_matching import Predictions, decoupled_gradient, moved_loss
from components.objectives.reward import branch_mean, branch_states, group_advantages, reward_term
from components.objectives.reward_config import RewardConfig
from components.paths.interpolant import interpolate, velocity

DOUBLE = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def times(t, count):
    return torch.full((count,), t, dtype=DOUBLE)


def test_advantages_have_mean_0_and_mean_square_1_whatever_the_judge_s_scale():
    rewards = normal(6, 5)
    found = group_advantages(rewards)
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(5, dtype=DOUBLE), rtol=0, atol=1e-12)
    torch.testing.assert_close(found.square().mean(dim=0), torch.ones(5, dtype=DOUBLE), rtol=1e-12, atol=0)
    torch.testing.assert_close(group_advantages(100 * rewards + 7), found, rtol=1e-9, atol=1e-9)
    assert torch.equal(group_advantages(torch.full((4, 2), 0.1)), torch.zeros(4, 2))


def test_without_freshness_the_mean_is_euler_s_state_and_with_all_of_it_re_noised_data():
    x, v, t, t_next = normal(3, 4), normal(3, 4, seed=1), times(0.8, 3), times(0.3, 3)
    torch.testing.assert_close(branch_mean(x, v, t, t_next, 0.0), x - 0.5 * v, rtol=1e-12, atol=1e-12)
    noise = normal(2, 3, 4, seed=2)
    states = branch_states(branch_mean(x, v, t, t_next, 1.0), noise, t_next, 1.0)
    torch.testing.assert_close(states[1], interpolate(x - 0.8 * v, noise[1], t_next), rtol=1e-12, atol=1e-12)


def test_states_keep_the_noise_s_size_at_every_freshness():
    x_0, eps = torch.full((4000, 2), 1.5, dtype=DOUBLE), normal(4000, 2)
    t, t_next = times(0.9, 4000), times(0.6, 4000)
    mean = branch_mean(interpolate(x_0, eps, t), velocity(x_0, eps), t, t_next, 0.5)
    states = branch_states(mean, normal(1, 4000, 2, seed=1), t_next, 0.5)
    assert float(states.mean()) == pytest.approx(0.4 * 1.5, abs=0.03)
    assert float(states.std()) == pytest.approx(0.6, rel=0.03)


def test_the_term_has_the_gradient_that_it_promises():
    mean, noise, advantages = normal(3, 2, 2).requires_grad_(), normal(5, 3, 2, 2, seed=1), normal(5, 3, seed=2)
    reward_term(mean, noise, advantages).backward()
    wanted = -(advantages[..., None, None] * noise).mean(dim=0) / mean.numel()
    torch.testing.assert_close(mean.grad, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("freshness", [0.3, 1.0])
def test_it_follows_the_derivative_of_the_expected_reward(freshness):
    """Of the reward -(x - c)^2 summed, at a state of deviation s: the derivative is -2 (mean - c), its spread known."""
    mean, c, s = normal(1, 3).requires_grad_(), torch.tensor([1.0, -2.0, 0.5], dtype=DOUBLE), 0.5 * freshness
    noise = normal(100_000, 1, 3, seed=1)
    rewards = -(branch_states(mean, noise, times(0.5, 1), freshness) - c).square().sum(dim=2)
    reward_term(mean, noise, group_advantages(rewards)).backward()
    away = mean.detach()[0] - c
    spread = math.sqrt(float((4 * s**2 * away.square() + 2 * s**4).sum()))
    torch.testing.assert_close(-mean.grad[0] * 3, s * -2 * away / spread, rtol=0.03, atol=0.02)


SIZE, STD, BRANCHES, T_NEXT = 16, 0.5, 8, 0.5


def rewarded(weight, steps=500):
    """Where the mean of x_hat = m + STD z comes to rest, taught by N(0, STD^2) and by a judge who likes large numbers.

    Two steps: from noise to T_NEXT, where it branches, and by the teacher's own velocity to data.
    """
    m = torch.zeros((), dtype=DOUBLE, requires_grad=True)
    optimiser = torch.optim.SGD([m], lr=0.3)
    seen = []
    for step in range(steps):
        z, noise = normal(64, SIZE, seed=4 * step), normal(BRANCHES, 64, SIZE, seed=4 * step + 1)
        x_hat = m + STD * z
        t = 0.02 + 0.96 * torch.rand(64, 1, generator=torch.Generator().manual_seed(4 * step + 2), dtype=DOUBLE)
        x_t = ((1 - t) * x_hat + t * normal(64, SIZE, seed=4 * step + 3)).detach()
        gain = (1 - t) * STD**2 / ((1 - t) ** 2 * STD**2 + t**2)
        real, fake = gain * x_t, m.detach() + gain * (x_t - (1 - t) * m.detach())
        loss = moved_loss(x_hat, decoupled_gradient(x_hat, Predictions(fake, real, real, real), 1.0))
        if weight is not None:
            mean = branch_mean(z, z - x_hat, times(1.0, 64), times(T_NEXT, 64), 1.0)
            states = branch_states(mean, noise, times(T_NEXT, 64), 1.0)
            data = states * (1 - T_NEXT) * STD**2 / ((1 - T_NEXT) ** 2 * STD**2 + T_NEXT**2)
            loss = loss + weight * reward_term(mean, noise, group_advantages(data.mean(dim=2)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(m.item())
    return sum(seen[-100:]) / 100


def rest(weight):
    """Where both pulls are equal, by bisection; the normaliser of a sample is a folded normal's mean.

    The judge's: the deviation of BRANCHES numbers from N(0, 1), expected, over sqrt(SIZE), times d mean / d x_hat.
    """
    deviation = math.sqrt(2 / BRANCHES) * math.gamma(BRANCHES / 2) / math.gamma((BRANCHES - 1) / 2)
    push = weight * (1 - T_NEXT) * deviation / math.sqrt(SIZE)
    t = torch.linspace(0.02, 0.98, 2001, dtype=DOUBLE)
    gain = (1 - t) * STD**2 / ((1 - t) ** 2 * STD**2 + t**2)
    kept = 1 - (1 - t) * gain
    s = ((kept * STD) ** 2 + (gain * t) ** 2).sqrt()
    low, high = 0.0, 50.0
    for _ in range(60):
        m = (low + high) / 2
        far = kept * m / s
        distance = s * (math.sqrt(2 / math.pi) * torch.exp(-(far**2) / 2) + far * torch.erf(far / math.sqrt(2)))
        low, high = (m, high) if float((kept * m / distance).mean()) < push else (low, m)
    return low


@pytest.mark.parametrize("weight", [0.5, 1.5, 3.0])
def test_the_mean_moves_towards_the_reward_to_where_distribution_matching_holds_it(weight):
    assert rewarded(weight) == pytest.approx(rest(weight), rel=0.1)


def test_more_weight_is_further_and_weight_0_changes_nothing():
    assert rest(0.5) < rest(1.5) < rest(3.0) < 1.0
    assert rewarded(0.0, steps=100) == rewarded(None, steps=100)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="1 of 4 rewards are not finite"):
        group_advantages(torch.tensor([[1.0, 2.0], [float("nan"), 0.0]]))
    with pytest.raises(ValueError, match="a last step has no state to branch from"):
        branch_states(normal(2, 3), normal(4, 2, 3), times(0.0, 2), 1.0)
    for weight, branches, freshness in ((-1.0, 4, 1.0), (1.0, 1, 1.0), (1.0, 4, 0.0)):
        with pytest.raises(ValueError, match="want weight >= 0, branches >= 2 and freshness in"):
            RewardConfig(weight, branches, freshness)
