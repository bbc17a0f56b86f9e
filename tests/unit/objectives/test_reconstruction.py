"""The autoencoder's terms against closed forms."""

from dataclasses import asdict

import pytest
import torch

from components.objectives.config import ReconstructionWeights
from components.objectives.reconstruction import (
    coarse_term,
    halve,
    kl_to_standard_normal,
    reconstruction_terms,
    weighted_total,
)

WEIGHTS = ReconstructionWeights(l1=1.0, half_l1=0.5, gradient_l1=2.0, kl=0.01, coarse_l1=0.3)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_perfect_copy_and_a_standard_normal_cost_nothing():
    images, zero = noise(2, 3, 8, 8), torch.zeros(2, 4, 1, 1, dtype=torch.float64)
    terms = reconstruction_terms(images, images, zero, zero) | coarse_term(images, halve(images))
    assert {name: float(value) for name, value in terms.items()} == dict.fromkeys(asdict(WEIGHTS), 0.0)


def test_a_constant_offset_costs_its_size_and_no_gradient():
    images, zero = noise(2, 3, 8, 8), torch.zeros(2, 4, 1, 1, dtype=torch.float64)
    terms = reconstruction_terms(images, images + 0.25, zero, zero)
    assert float(terms["l1"]) == pytest.approx(0.25)
    assert float(terms["half_l1"]) == pytest.approx(0.25)
    assert float(terms["gradient_l1"]) == pytest.approx(0, abs=1e-12)


def test_a_checkerboard_of_errors_is_invisible_at_half_size():
    images, zero = noise(1, 3, 8, 8), torch.zeros(1, 4, 1, 1, dtype=torch.float64)
    signs = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    terms = reconstruction_terms(images, images + 0.1 * signs, zero, zero)
    assert float(terms["l1"]) == pytest.approx(0.1)
    assert float(terms["half_l1"]) == pytest.approx(0, abs=1e-12)
    assert float(terms["gradient_l1"]) == pytest.approx(0.4)


def test_the_divergence_is_that_of_torch():
    mean, log_variance = noise(2, 4, 3, 3), noise(2, 4, 3, 3, seed=1)
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = torch.distributions.kl_divergence(posterior, standard).mean()
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected, rtol=1e-12, atol=1e-12)


def test_the_total_is_the_weighted_sum_of_the_terms():
    terms = reconstruction_terms(noise(2, 3, 8, 8), noise(2, 3, 8, 8, seed=1), noise(2, 4, 1, 1), noise(2, 4, 1, 1))
    by_hand = sum(asdict(WEIGHTS)[name] * float(value) for name, value in terms.items())
    assert float(weighted_total(terms, WEIGHTS)) == pytest.approx(by_hand, rel=1e-12)


def test_the_gradient_agrees_with_finite_differences():
    images, decoded = noise(1, 1, 4, 4), noise(1, 1, 4, 4, seed=1).requires_grad_()
    mean, log_variance = noise(1, 2, 1, 1).requires_grad_(), noise(1, 2, 1, 1, seed=2).requires_grad_()

    def total(decoded: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
        return weighted_total(reconstruction_terms(images, decoded, mean, log_variance), WEIGHTS)

    assert torch.autograd.gradcheck(total, (decoded, mean, log_variance), eps=1e-7, atol=1e-6)


def test_a_term_without_weight_is_refused():
    with pytest.raises(ValueError, match="no weight for the terms"):
        weighted_total({"sharpness": torch.tensor(1.0)}, WEIGHTS)
