"""Distillation where everything is known: Gaussian teachers, whose predictions and best students are closed forms."""

import math

import pytest
import torch

from components.objectives.committee import CommitteeConfig
from components.objectives.distribution_matching import (
    Predictions,
    committee_prediction,
    committee_weights,
    decayed_scale,
    decoupled_gradient,
    draw_levels,
    moved_loss,
    normaliser,
    predicted_data,
)
from components.paths.interpolant import interpolate, over, v_from_x_0
from components.paths.noise import generators_from
from components.samplers.rollout import roll_out_euler
from components.samplers.solvers import euler
from components.samplers.time_grid import shifted_time_grid

DOUBLE = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=DOUBLE)


def expected(x_t, t, mean, covariance):
    """E[x_0 | x_t] of Gaussian data: mean + (1 - t) C ((1 - t)^2 C + t^2)^-1 (x_t - (1 - t) mean)."""
    eye = torch.eye(len(mean), dtype=DOUBLE)
    s = t[:, None, None]
    gain = (1 - s) * covariance @ torch.linalg.inv((1 - s) ** 2 * covariance + s**2 * eye)
    return mean + (gain @ (x_t - (1 - t[:, None]) * mean)[..., None])[..., 0]


def everything(x_hat, fake, real, cond=None, uncond=None):
    return Predictions(fake, real, real if cond is None else cond, real if uncond is None else uncond)


def test_with_one_teacher_and_one_level_it_is_the_published_dmd2_gradient():
    x_hat, fake, cond, uncond = (normal(4, 3, 2, 2, seed=seed) for seed in range(4))
    alpha = 4.0
    guided = uncond + alpha * (cond - uncond)
    n = (x_hat - guided).abs().mean(dim=(1, 2, 3)).reshape(-1, 1, 1, 1)
    # The same normaliser for both parts: each is multiplied with its own, and divided by DMD2's.
    own = [over(normaliser(x_hat, one), x_hat) for one in (cond, guided)]
    said = Predictions(fake, cond, cond, uncond)
    matching = decoupled_gradient(x_hat, said, 1.0) * own[0]
    augmentation = (decoupled_gradient(x_hat, said, alpha) - decoupled_gradient(x_hat, said, 1.0)) * own[1]
    torch.testing.assert_close((matching + augmentation) / n, (fake - guided) / n, rtol=1e-6, atol=1e-6)


def test_the_loss_has_the_gradient_it_was_given():
    x_hat = normal(3, 5).requires_grad_()
    g = normal(3, 5, seed=1)
    moved_loss(x_hat, g).backward()
    torch.testing.assert_close(x_hat.grad, g / g.numel(), rtol=1e-12, atol=1e-12)
    assert moved_loss(x_hat, g).item() == pytest.approx(float(0.5 * g.square().mean()))


def test_predictions_keep_their_digits_near_pure_noise():
    x_0, eps, t = normal(6, 4), normal(6, 4, seed=1), torch.full((6,), 0.9999, dtype=DOUBLE)
    x_t = interpolate(x_0, eps, t)
    found = predicted_data(x_t.float(), v_from_x_0(x_t, x_0, t).float(), t.float())
    torch.testing.assert_close(found.double(), x_0, rtol=0, atol=1e-5)


def test_levels_lie_where_they_should_and_fill_their_ranges():
    dm, ca = draw_levels(0.4, 0.02, 0.98, generators_from(range(4000)))
    for drawn, high in ((dm, 0.98), (ca, 0.4)):
        assert 0.02 <= float(drawn.min()) < float(drawn.max()) <= high
        assert float(drawn.mean()) == pytest.approx((0.02 + high) / 2, abs=0.015)
    assert float(torch.corrcoef(torch.stack([dm, ca]))[0, 1]) == pytest.approx(0, abs=0.05)
    with pytest.raises(ValueError, match=r"levels 0\.5 to 0\.9 at the step of 0\.4"):
        draw_levels(0.4, 0.5, 0.9, generators_from(range(2)))


def test_the_scale_falls_on_half_a_cosine():
    assert [decayed_scale(step, 0.75, 100) for step in (0, 50, 100, 1000)] == pytest.approx([0.75, 0.375, 0.0, 0.0])


def distil_one_step(teacher, mean, covariance, *, steps=600, dimensions=2):
    """Mean and covariance of x_hat = m + A z, moved by the exact fake prediction against `teacher(x_t, t)`."""
    m = torch.zeros(dimensions, dtype=DOUBLE, requires_grad=True)
    a = torch.eye(dimensions, dtype=DOUBLE).mul(0.5).requires_grad_()
    optimiser = torch.optim.Adam([m, a], lr=0.05)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / steps)
        x_hat = m + normal(256, dimensions, seed=3 * step) @ a.T
        t = 0.02 + 0.96 * torch.rand(256, generator=generator(3 * step + 1), dtype=DOUBLE)
        x_t = interpolate(x_hat, normal(256, dimensions, seed=3 * step + 2), t).detach()
        fake = expected(x_t, t, m.detach(), (a @ a.T).detach())
        loss = moved_loss(x_hat, decoupled_gradient(x_hat, everything(x_hat, fake, teacher(x_t, t)), 1.0))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return m.detach(), (a @ a.T).detach()


MEAN = torch.tensor([1.5, -0.5], dtype=DOUBLE)
COVARIANCE = torch.tensor([[0.8, 0.3], [0.3, 0.4]], dtype=DOUBLE)


def test_a_one_step_generator_reaches_the_teacher_s_mean_and_covariance():
    m, c = distil_one_step(lambda x_t, t: expected(x_t, t, MEAN, COVARIANCE), MEAN, COVARIANCE)
    torch.testing.assert_close(m, MEAN, rtol=0, atol=0.03)
    torch.testing.assert_close(c, COVARIANCE, rtol=0, atol=0.04)


def test_a_committee_s_student_reaches_the_mixture_that_its_weights_prescribe():
    """Experts of one covariance: the weighted prediction is that of the Gaussian at the weighted mean."""
    means = torch.stack([MEAN, torch.tensor([-1.0, 1.0], dtype=DOUBLE)])
    weights = torch.tensor([0.3, 0.7], dtype=DOUBLE)

    def teacher(x_t, t):
        said = torch.stack([expected(x_t, t, mean, COVARIANCE) for mean in means])
        return committee_prediction(weights.expand(len(x_t), 2), said)

    m, c = distil_one_step(teacher, MEAN, COVARIANCE)
    torch.testing.assert_close(m, weights @ means, rtol=0, atol=0.03)
    torch.testing.assert_close(c, COVARIANCE, rtol=0, atol=0.04)


GRID = shifted_time_grid(8, 4.0).double()


def distil_eight_steps(is_simulated: bool, mean=1.2, std=0.5, steps=250):
    """Mean and deviation of what eight Euler steps draw; v at step j is a_j x + b_j, the fake prediction exact.

    The input of a step is rolled out by the student itself, or (the naive variant) noised real data.
    """
    slopes = torch.ones(8, dtype=DOUBLE, requires_grad=True)
    shifts = torch.zeros(8, dtype=DOUBLE, requires_grad=True)
    numbers = {float(t): j for j, t in enumerate(GRID.tolist())}

    def velocity(x, t):
        j = numbers[float(t[0])]
        return slopes[j] * x + shifts[j]

    optimiser = torch.optim.Adam([slopes, shifts], lr=0.05)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / steps)
        loss = torch.zeros((), dtype=DOUBLE)
        z = normal(256, 1, seed=4 * step)
        for j in range(8):
            if is_simulated:
                x = roll_out_euler(velocity, z, GRID[: j + 1])
            else:
                real = mean + std * normal(256, 1, seed=4 * step + 3)
                x = interpolate(real, z, GRID[j].expand(256))
            now = GRID[j].expand(256)
            x_hat = x - over(now, x) * velocity(x, now)
            t = 0.02 + 0.96 * torch.rand(256, generator=generator(4 * step + 1), dtype=DOUBLE)
            x_t = interpolate(x_hat, normal(256, 1, seed=4 * step + 2), t).detach()
            own_mean, own_variance = x_hat.detach().mean(dim=0), x_hat.detach().var(dim=0)[None]
            fake = expected(x_t, t, own_mean, own_variance)
            real_said = expected(x_t, t, torch.tensor([mean], dtype=DOUBLE), torch.tensor([[std**2]], dtype=DOUBLE))
            gradient = decoupled_gradient(x_hat, everything(x_hat, fake, real_said), 1.0)
            loss = loss + moved_loss(x_hat, gradient.clamp(-5, 5))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        drawn = euler(velocity, normal(20_000, 1, seed=9), GRID)
    return float(drawn.mean()), float(drawn.std())


def test_an_eight_step_generator_reaches_the_teacher_only_from_inputs_that_occur():
    mean, std = distil_eight_steps(is_simulated=True)
    assert mean == pytest.approx(1.2, abs=0.03)
    assert std == pytest.approx(0.5, rel=0.05)
    _, naive_std = distil_eight_steps(is_simulated=False)
    assert abs(naive_std - 0.5) > 4 * abs(std - 0.5)
    assert naive_std == pytest.approx(0.5, rel=0.9)
    assert abs(naive_std / 0.5 - 1) > 0.1


def rows(*numbers):
    return {"high": numbers, "middle": numbers, "low": numbers}


def committee(**changes):
    weights = {"dm": {"general": rows(0.5, 0.5)}, "ca": {"general": rows(0.2, 0.8), "text": rows(0.0, 1.0)}}
    usual = {"experts": ("layout", "text"), "bands": (0.5, 0.8), "general": "general", "weights": weights}
    return CommitteeConfig(**{**usual, **changes})


def test_weights_are_looked_up_by_role_band_and_domain():
    table = {"high": (1.0, 0.0), "middle": (0.5, 0.5), "low": (0.0, 1.0)}
    config = committee(weights={"dm": {"general": table}, "ca": {"general": rows(0.2, 0.8), "text": rows(0.0, 1.0)}})
    t = torch.tensor([0.9, 0.79, 0.51, 0.4])
    found = committee_weights(config, "dm", t, ["general", "text", "photo", "general"])
    assert found.tolist() == [[1, 0], [0.5, 0.5], [0.5, 0.5], [0, 1]]
    assert committee_weights(config, "ca", t[:2], ["text", "photo"]).tolist() == [[0, 1], pytest.approx([0.2, 0.8])]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experts": ()}, "at least one"),
        ({"experts": ("a", "a")}, "each named once"),
        ({"bands": (0.8, 0.5)}, "bands must rise"),
        ({"weights": {"dm": {"general": rows(0.5, 0.5)}, "ca": {}}}, "weights of ca lack the domain 'general'"),
        (
            {"weights": {"dm": {"general": rows(0.5, 0.6)}, "ca": {"general": rows(0.5, 0.5)}}},
            r"weights of dm.general.high are \(0.5, 0.6\); allowed: 2 numbers of at least 0, of sum 1",
        ),
        (
            {"weights": {"dm": {"general": rows(1.0)}, "ca": {"general": rows(0.5, 0.5)}}},
            "allowed: 2 numbers",
        ),
    ],
)
def test_a_committee_at_fault_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        committee(**changes)


def test_a_sample_far_from_its_teacher_moves_no_further_than_a_near_one():
    real = normal(2, 8)
    x_hat = real + torch.tensor([[0.1], [10.0]], dtype=DOUBLE)
    g = decoupled_gradient(x_hat, everything(x_hat, x_hat, real), 1.0)
    torch.testing.assert_close(g.abs().mean(dim=1), torch.ones(2, dtype=DOUBLE), rtol=1e-4, atol=0)
    assert math.isfinite(float(decoupled_gradient(real, everything(real, real, real), 4.0).abs().max()))
