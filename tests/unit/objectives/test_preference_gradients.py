"""The gradients of the preference objective against closed forms, autograd and finite differences."""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from tiny_losses import (
    ALL,
    ANCHORED,
    REDUCTIONS,
    SHAPE,
    SIZE,
    linear,
    mean_errors,
    noise,
    outcome_of_linear,
    velocities,
)
from torch import Tensor, nn

from components.objectives.preference import (
    PairVelocities,
    outcome_of,
    pair_velocities,
    winner_preserving_scale,
)


def assert_slope(loss, weight: Tensor, gradient: Tensor) -> None:
    """Central differences of `loss` at `weight` are the gradient."""
    by = 1e-6
    for place in product(range(2), range(2)):
        step = torch.zeros(2, 2, dtype=torch.float64)
        step[place] = by
        slope = float(loss(weight + step) - loss(weight - step)) / (2 * by)
        assert slope == pytest.approx(float(gradient[place]), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("dpo", "anchor"), REDUCTIONS)
def test_gradients_agree_with_finite_differences(dpo, anchor):
    config = replace(ANCHORED, dpo_reduction=dpo, anchor_reduction=anchor, output_anchor=0.3, dpop=2.0)
    reference, weight = noise(2, 2, seed=3), noise(2, 2, seed=4)
    total = outcome_of_linear(weight.requires_grad_(), reference, config).total
    (gradient,) = torch.autograd.grad(total, weight)
    assert_slope(lambda weight: outcome_of_linear(weight, reference, config).total, weight.detach(), gradient)


def test_scaled_gradients_are_those_of_losers_that_move_less():
    """The winner-preserving scale, frozen, on how far the loser's error is from where it was."""
    networks, config = (noise(2, 2, seed=3), noise(2, 2, seed=4)), replace(ANCHORED, winner_preserving=0.9)
    x_win, x_lose, eps, t = noise(*SHAPE), noise(*SHAPE, seed=1), noise(*SHAPE, seed=2), torch.rand(3).double()

    def seen_by(weight: Tensor) -> PairVelocities:
        return pair_velocities(linear(weight), linear(networks[0]), None, x_win, x_lose, t, eps)

    def scaled(weight: Tensor) -> Tensor:
        win, lose, reference_win, reference_lose = mean_errors(seen_by(weight))
        lose_less = start + scale * (lose - start)
        difference = SIZE * ((win - lose_less) - (reference_win - reference_lose))
        return ((1 + (0.05 * difference).exp()).log() + 0.35 * win + 0.15 * lose).mean()

    weight = networks[1]
    now = seen_by(weight)
    start, scale = mean_errors(now)[1], winner_preserving_scale(*(now.policy - now.target), 0.9)
    assert float(scale.min()) < 0.9
    moving = weight.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(outcome_of(seen_by(moving), ALL, config, 0.05).total, moving)
    assert_slope(scaled, weight, gradient)


@pytest.mark.parametrize("mu", [None, 0.6])
@pytest.mark.parametrize("dpop", [0.0, 2.0])
@pytest.mark.parametrize(("dpo", "anchor"), REDUCTIONS)
def test_gradients_have_the_stated_coefficients(dpo, anchor, dpop, mu):
    """What autograd finds at the outputs is (c_w, c_l) times the gradients of the DPO term's own errors."""
    config = replace(ANCHORED, dpo_reduction=dpo, anchor_reduction=anchor, winner_preserving=mu, dpop=dpop)
    for seed in range(4):
        seen = velocities(seed)
        one = PairVelocities(*(said[:, :1].detach() for said in (seen.policy, seen.reference, seen.target)))
        one.policy.requires_grad_()
        outcome = outcome_of(one, ALL[:1], config, 0.4)
        (gradient,) = torch.autograd.grad(outcome.total, one.policy)
        error = 2 * (one.policy - one.target).detach() / (1 if dpo == "sum" else SIZE)
        for k, name in enumerate(("win_coefficient", "lose_coefficient")):
            torch.testing.assert_close(gradient[k], outcome.measures[name] * error[k], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("dpo", "anchor", "win", "lose"),
    [
        ("sum", "sum", 0.35 + 0.025, 0.15 - 0.025),
        ("mean", "mean", 0.35 + 0.025, 0.15 - 0.025),
        ("sum", "mean", 0.35 / SIZE + 0.025, 0.15 / SIZE - 0.025),
        ("mean", "sum", 0.35 * SIZE + 0.025, 0.15 * SIZE - 0.025),
    ],
)
def test_training_starts_with_the_coefficients_of_the_table(dpo, anchor, win, lose):
    """Only a sum under a mean pushes losers away."""
    weight = noise(2, 2)
    config = replace(ANCHORED, dpo_reduction=dpo, anchor_reduction=anchor)
    measures = outcome_of_linear(weight, weight.clone(), config).measures
    assert float(measures["win_coefficient"]) == pytest.approx(win, rel=1e-12)
    assert float(measures["lose_coefficient"]) == pytest.approx(lose, rel=1e-12)


def test_with_one_reduction_no_margin_lets_losers_be_pushed():
    for seed in range(5):
        config = replace(ANCHORED, anchor_reduction="sum")
        coefficient = float(outcome_of(velocities(seed), ALL, config, 0.05).measures["lose_coefficient"])
        assert 0.10 <= coefficient <= 0.15


def test_losers_are_pushed_until_the_anchor_holds_them():
    """s = lambda_l / (beta D) is the stop of a sum under a mean."""
    stop = 0.15 / (0.05 * SIZE)
    margin = math.log(1 / stop - 1) / 0.05
    for by, is_pushed in ((-1.0, True), (1.0, False)):
        target = torch.zeros(2, 1, 1, 2, 4, dtype=torch.float64)
        policy, reference = target.clone(), target.clone()
        policy[1] = math.sqrt((margin + by) / SIZE)
        outcome = outcome_of(PairVelocities(policy, reference, target), ALL[:1], ANCHORED, 0.05)
        assert (float(outcome.measures["lose_coefficient"]) < 0) == is_pushed


def test_the_winner_preserving_scale_is_the_published_one():
    """From the equations: gradients of the two mean errors by autograd, one pair at a time."""
    seen, mu = velocities(5), 0.6
    scales = winner_preserving_scale(*(seen.policy - seen.target).detach(), mu)
    for pair in range(3):
        gradients = []
        for k in (0, 1):
            said = seen.policy[k, pair].detach().requires_grad_()
            (gradient,) = torch.autograd.grad(nn.functional.mse_loss(said, seen.target[k, pair]), said)
            gradients.append(gradient)
        inner = float((gradients[0] * gradients[1]).sum())
        wanted = (1 - mu) * float(gradients[0].square().sum()) / (inner + 1e-9)
        expected = min(max(wanted, 0.0), 1.0) if inner > 0 else 1.0
        assert float(scales[pair]) == pytest.approx(expected, rel=1e-12)


def test_the_winner_preserving_scale_changes_no_value():
    seen = velocities()
    plain = outcome_of(seen, ALL, ANCHORED, 0.05)
    scaled = outcome_of(seen, ALL, replace(ANCHORED, winner_preserving=0.9), 0.05)
    assert float(scaled.measures["winner_scale"]) < 1
    assert all(torch.equal(plain.terms[name], scaled.terms[name]) for name in plain.terms)


def test_the_winner_preserving_scale_leaves_opposed_gradients_and_scales_parallel_ones():
    win = noise(1, 8)
    assert float(winner_preserving_scale(win, -win, 0.3)) == 1.0
    assert float(winner_preserving_scale(win, win, 0.3)) == pytest.approx(0.7, rel=1e-8)
    assert float(winner_preserving_scale(win, 2 * win, 0.3)) == pytest.approx(0.35, rel=1e-8)
    assert float(winner_preserving_scale(win, 0.5 * win, 0.3)) == 1.0
    assert float(winner_preserving_scale(0 * win, win, 0.3)) == 1.0


def test_with_the_winner_preserving_scale_no_small_step_raises_the_winners_error():
    """To first order, for outputs that move together, as those of the paper; without it some do."""
    raised = {None: 0, 0.0: 0, 0.5: 0}
    config = replace(ANCHORED, win_anchor=0.0, lose_anchor=0.0)
    for seed, mu in product(range(40), raised):
        shared = noise(1, 4, seed=seed).requires_grad_()
        # The loser's error is larger, so that its gradient rules.
        target = torch.stack([noise(1, 4, seed=seed + 1), 3 * noise(1, 4, seed=seed + 2)])
        policy = shared.expand(2, 1, 4)
        seen = PairVelocities(policy, noise(2, 1, 4, seed=seed + 3), target)
        (gradient,) = torch.autograd.grad(
            outcome_of(seen, ALL[:1], replace(config, winner_preserving=mu), 0.05).total, shared
        )
        before, after = ((said - target[0]).square().sum().item() for said in (shared, shared - 1e-4 * gradient))
        raised[mu] += after > before + 1e-9
    assert raised[None] > 5
    assert raised[0.0] == raised[0.5] == 0
