"""Fitted weights: planted mixtures are found again, and the optimum is that of another library."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from components.objectives.committee import CommitteeConfig
from components.objectives.distribution_matching import committee_weights
from components.objectives.routing import fitted_committee, residual_gram, simplex_weights

DOUBLE = torch.float64
EVEN = (1 / 3, 1 / 3, 1 / 3)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def everywhere(*row):
    return {"high": row, "middle": row, "low": row}


def rule(**of_domains):
    table = {"general": everywhere(*EVEN), **of_domains}
    return CommitteeConfig(("layout", "art", "text"), (0.5, 0.8), "general", {"dm": table, "ca": table})


def test_the_gram_matrix_gives_the_error_of_every_mixture():
    velocities, target = normal(3, 5, 2, 4), normal(5, 2, 4, seed=1)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=DOUBLE)
    of_mixture = (torch.tensordot(weights, velocities, dims=1) - target).square().mean(dim=(1, 2))
    found = torch.einsum("k, bkl, l -> b", weights, residual_gram(velocities, target), weights)
    torch.testing.assert_close(found, of_mixture, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_weights_are_the_optimum_that_scipy_finds(seed):
    factor, prior = normal(4, 4, seed=seed), np.array([0.4, 0.3, 0.2, 0.1])
    gram = factor @ factor.T + 5.0
    apart = np.mean([float(gram[i, i] + gram[j, j] - 2 * gram[i, j]) for i in range(4) for j in range(4) if i != j])

    def error(weights):
        return float(weights @ gram.numpy() @ weights) + 0.1 * apart * float(np.square(weights - prior).sum())

    sums = {"type": "eq", "fun": lambda weights: weights.sum() - 1}
    wanted = minimize(error, prior, bounds=[(0, 1)] * 4, constraints=[sums], options={"ftol": 1e-14, "maxiter": 500})
    found = np.array(simplex_weights(gram, tuple(prior), 0.1))
    assert error(found) <= wanted.fun + 1e-9
    np.testing.assert_allclose(found, wanted.x, atol=1e-4)


def planted(weights, *, count, spread=0.5, seed=0):
    """Residuals of three experts around a shared one to the planted mixture with noise that no one predicts."""
    velocities = normal(1, count, 16, seed=seed) + spread * normal(3, count, 16, seed=seed + 1)
    mixed = torch.tensordot(torch.tensor(weights, dtype=DOUBLE), velocities, dims=1)
    return residual_gram(velocities, mixed + normal(count, 16, seed=seed + 2))


def test_a_planted_mixture_is_found_in_each_cell():
    truth = {
        ("photo", 0.9): (0.7, 0.2, 0.1),
        ("photo", 0.6): (0.1, 0.3, 0.6),
        ("photo", 0.2): (0.0, 0.5, 0.5),
        ("text", 0.9): (0.0, 0.0, 1.0),
    }
    parts = [planted(weights, count=2000, seed=10 * place) for place, weights in enumerate(truth.values())]
    t = torch.tensor([level for _, level in truth]).repeat_interleave(2000)
    domains = [domain for domain, _ in truth for _ in range(2000)]
    fitted = fitted_committee(rule(), torch.cat(parts), t, domains, pull=1e-3, min_samples=10)
    for role in ("dm", "ca"):
        found = committee_weights(fitted, role, t[::2000], [domain for domain, _ in truth])
        torch.testing.assert_close(found, torch.tensor(list(truth.values())), rtol=0, atol=0.03)
    # The general domain is fitted to all: at this level only `photo` was seen.
    assert fitted.weights["dm"]["general"]["low"] == pytest.approx(fitted.weights["dm"]["photo"]["low"])


def test_an_expert_that_is_right_gets_everything():
    velocities = normal(3, 50, 4)
    weights = simplex_weights(residual_gram(velocities, velocities[1]).mean(dim=0), EVEN, 1e-6)
    assert weights == pytest.approx((0, 1, 0), abs=1e-5)


def test_the_pull_leads_from_the_fit_to_the_rule():
    gram = planted((0.8, 0.2, 0.0), count=2000).mean(dim=0)
    prior = (0.1, 0.1, 0.8)
    lefts = [simplex_weights(gram, prior, pull)[0] for pull in (1e-4, 0.1, 1.0, 10.0, 1e4)]
    assert lefts == sorted(lefts, reverse=True)
    assert lefts[0] == pytest.approx(0.8, abs=0.03)
    assert lefts[-1] == pytest.approx(0.1, abs=0.01)


def test_cells_without_samples_and_experts_that_agree_keep_the_rule():
    own = everywhere(0.0, 0.2, 0.8)
    t, domains = torch.full((40,), 0.9), ["text"] * 5 + ["photo"] * 35
    fitted = fitted_committee(rule(text=own), planted((1.0, 0.0, 0.0), count=40), t, domains, pull=1e-3, min_samples=10)
    assert fitted.weights["dm"]["text"] == own
    assert fitted.weights["dm"]["photo"]["low"] == EVEN
    assert fitted.weights["dm"]["photo"]["high"][0] > 0.7
    same = normal(1, 20, 4).expand(3, 20, 4)
    assert simplex_weights(residual_gram(same, normal(20, 4, seed=1)).mean(dim=0), (0.5, 0.3, 0.2), 1e-3) == (
        0.5,
        0.3,
        0.2,
    )


def test_a_pull_that_is_none_is_refused():
    with pytest.raises(ValueError, match="pull must be positive, got 0"):
        simplex_weights(torch.eye(3, dtype=DOUBLE), EVEN, 0.0)
