"""The adversary: closed forms, finite differences, and the gradient penalty that its approximate R1 stands for."""

import math

import pytest
import torch

from components.objectives.adversarial import generator_term, head_inputs, head_terms
from components.objectives.adversarial_config import AdversarialConfig

DOUBLE = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def test_an_undecided_head_costs_log_2_each_and_a_right_one_nothing():
    undecided, sure = torch.zeros(3, 4, dtype=DOUBLE), torch.full((3, 4), 40.0, dtype=DOUBLE)
    assert generator_term(undecided).item() == pytest.approx(math.log(2), rel=1e-12)
    terms = {name: float(term) for name, term in head_terms(undecided, undecided, undecided, 100.0).items()}
    assert terms == pytest.approx({"head_real": math.log(2), "head_fake": math.log(2), "head_r1": 0.0}, rel=1e-12)
    right = head_terms(sure, -sure, sure, 100.0)
    assert float(sum(right.values())) == pytest.approx(0, abs=1e-12)
    assert float(generator_term(-sure)) == pytest.approx(40)


def test_the_student_is_pushed_by_how_much_the_head_doubts_it():
    logits = normal(5, 3).requires_grad_()
    generator_term(logits).backward()
    torch.testing.assert_close(logits.grad, -torch.sigmoid(-logits.detach()) / logits.numel(), rtol=1e-12, atol=1e-12)


def test_gradients_agree_with_finite_differences():
    real, fake, perturbed = (normal(4, 2, seed=seed).requires_grad_() for seed in range(3))
    assert torch.autograd.gradcheck(generator_term, (fake,))

    def terms(*logits):
        return tuple(head_terms(*logits, 7.0).values())

    assert torch.autograd.gradcheck(terms, (real, fake, perturbed))


def test_the_penalty_is_the_squared_gradient_times_the_square_of_the_disturbance():
    """On h(x) = sin(w x), whose squared gradient is known; 20,000 disturbances take the noise to about 1 %."""
    x, w, sigma = normal(1, 6).expand(20_000, 6), normal(6, seed=1), 0.01
    disturbed = x + sigma * normal(20_000, 6, seed=2)
    logits = [torch.sin(of @ w)[:, None] for of in (x, x, disturbed)]
    penalty = head_terms(*logits, 3.0)["head_r1"]
    squared_gradient = float((torch.cos(x[0] @ w) * w).square().sum())
    assert float(penalty) == pytest.approx(3.0 * sigma**2 * squared_gradient, rel=0.05)


def test_real_and_drawn_are_noised_alike_and_only_drawn_data_carries_a_gradient():
    real, x_hat, eps, t = normal(4, 2, 3, 3), normal(4, 2, 3, 3, seed=1), normal(4, 2, 3, 3, seed=2), torch.rand(4)
    x_hat.requires_grad_()
    t = t.to(DOUBLE)
    inputs = head_inputs(real, x_hat, t, eps, 0.1 * normal(4, 2, 3, 3, seed=3))
    a = (1 - t).reshape(4, 1, 1, 1)
    torch.testing.assert_close(inputs.real - inputs.drawn, a * (real - x_hat), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        inputs.disturbed - inputs.real, 0.1 * a * normal(4, 2, 3, 3, seed=3), rtol=1e-12, atol=1e-12
    )
    assert inputs.drawn.requires_grad
    assert not inputs.real.requires_grad
    assert not inputs.disturbed.requires_grad


def test_two_players_bring_a_gaussian_student_to_the_data():
    """Data N(1, 1/4), student m + s z, head quadratic in x: the game's only rest is the truth."""
    m, s = torch.zeros((), dtype=DOUBLE, requires_grad=True), torch.ones((), dtype=DOUBLE, requires_grad=True)
    head = torch.zeros(3, dtype=DOUBLE, requires_grad=True)
    student_turn, head_turn = torch.optim.SGD([m, s], lr=0.1), torch.optim.SGD([head], lr=0.1)

    def logits(x):
        return (torch.stack([torch.ones_like(x), x, x**2], dim=1) @ head)[:, None]

    for step in range(800):
        z, real = normal(128, seed=3 * step), 1 + 0.5 * normal(128, seed=3 * step + 1)
        x_hat = m + s * z
        disturbed = real + 0.1 * normal(128, seed=3 * step + 2)
        head_turn.zero_grad()
        sum(head_terms(logits(real), logits(x_hat.detach()), logits(disturbed), 10.0).values()).backward()
        head_turn.step()
        student_turn.zero_grad()
        generator_term(logits(x_hat)).backward()
        student_turn.step()
    assert m.item() == pytest.approx(1, abs=0.1)
    assert abs(s.item()) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator_weight": -1.0}, "generator_weight, r1_weight >= 0"),
        ({"head_weight": 0.0}, "head_weight, r1_sigma > 0"),
        ({"r1_sigma": 0.0}, "head_weight, r1_sigma > 0"),
        ({"block": -1}, "block -1 of the teacher"),
    ],
)
def test_settings_that_make_no_adversary_are_refused(changes, message):
    usual = {"generator_weight": 0.03, "head_weight": 1.0, "r1_weight": 100.0, "r1_sigma": 0.1, "block": 1}
    with pytest.raises(ValueError, match=message):
        AdversarialConfig(**{**usual, **changes})
