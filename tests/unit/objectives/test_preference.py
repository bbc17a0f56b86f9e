"""The values of the preference objective against published losses written out, and all that it can be told."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_losses import (
    ALL,
    ANCHORED,
    REDUCTIONS,
    SHAPE,
    SIZE,
    UNIFORM,
    linear,
    mean_errors,
    noise,
    outcome_of_linear,
    velocities,
)
from tiny_training import CHANNELS, TEXT_DIM, tiny_denoiser
from torch import Tensor, nn

from components.models.denoiser import TextCondition, repeated
from components.objectives.config import AutoBeta
from components.objectives.preference import (
    PairVelocities,
    beta_of,
    dpo_loss,
    next_margin_mean,
    outcome_of,
    preference_outcome,
)
from components.paths.noise import generators_from

AUTO = AutoBeta(target=0.2, decay=0.9, low=1e-3, high=10.0)


def test_the_loss_is_the_published_formula_with_a_norm_and_anchors():
    seen = velocities()
    win, lose, reference_win, reference_lose = mean_errors(seen)
    difference = SIZE * ((win - lose) - (reference_win - reference_lose))
    terms = outcome_of(seen, ALL, ANCHORED, 0.05).terms
    expected = (1 + (0.05 * difference).exp()).log().mean()
    torch.testing.assert_close(terms["dpo"], expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(terms["win_anchor"], 0.35 * win.mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(terms["lose_anchor"], 0.15 * lose.mean(), rtol=1e-12, atol=0)
    assert set(terms) == {"dpo", "win_anchor", "lose_anchor"}


def test_with_means_the_loss_is_diffusion_dpo():
    """Released with beta 5000 and beta / 2 in the exponent; in torch's own words."""
    seen, published_beta = velocities(), 5000.0
    model_losses, reference_losses = (
        torch.cat(list(said - seen.target)).pow(2).mean(dim=(1, 2, 3)) for said in (seen.policy, seen.reference)
    )
    model_win, model_lose = model_losses.chunk(2)
    reference_win, reference_lose = reference_losses.chunk(2)
    inside = -0.5 * published_beta * ((model_win - model_lose) - (reference_win - reference_lose))
    expected = -nn.functional.logsigmoid(inside).mean()
    config = replace(ANCHORED, dpo_reduction="mean", win_anchor=0.0, lose_anchor=0.0)
    outcome = outcome_of(seen, ALL, config, published_beta / 2)
    torch.testing.assert_close(outcome.total, expected, rtol=1e-12, atol=0)
    assert float(outcome.measures["accuracy"]) == pytest.approx(float((inside > 0).double().mean()), abs=1e-12)


@pytest.mark.parametrize(("dpo", "anchor"), REDUCTIONS)
def test_reference_equal_to_policy_is_log_2_plus_anchors(dpo, anchor):
    weight = noise(2, 2)
    config = replace(ANCHORED, dpo_reduction=dpo, anchor_reduction=anchor, output_anchor=1.0, dpop=3.0)
    outcome = outcome_of_linear(weight, weight.clone(), config)
    told = {name: float(value) for name, value in (outcome.terms | outcome.measures).items()}
    assert told["dpo"] == math.log(2)
    assert told["output_anchor"] == told["margin"] == told["drift"] == told["win_change"] == 0.0
    assert told["accuracy"] == told["gradient_factor"] == 0.5
    assert told["win_error_ratio"] == told["lose_error_ratio"] == 1.0
    size = SIZE if anchor == "sum" else 1
    assert told["win_anchor"] == pytest.approx(0.35 * size * told["win_error"], rel=1e-12)
    assert told["lose_anchor"] == pytest.approx(0.15 * size * told["lose_error"], rel=1e-12)


def test_without_beta_only_the_anchors_pull():
    seen = velocities()
    outcome = outcome_of(seen, ALL, ANCHORED, 0.0)
    assert outcome.terms["dpo"].item() == pytest.approx(math.log(2), rel=1e-15)
    (gradient,) = torch.autograd.grad(outcome.total, seen.policy)
    error = 2 * (seen.policy - seen.target).detach() / SIZE / 3
    torch.testing.assert_close(gradient, torch.stack([0.35 * error[0], 0.15 * error[1]]), rtol=1e-12, atol=1e-15)


def test_of_an_identical_pair_nothing_is_learned_but_the_anchors():
    x, weight = noise(*SHAPE), noise(2, 2).requires_grad_()
    config = replace(ANCHORED, win_anchor=0.0, lose_anchor=0.0)
    outcome = preference_outcome(
        linear(weight), linear(noise(2, 2, seed=3)), None, x, x.clone(), UNIFORM, generators_from(range(3)),
        config, 5.0,
    )  # fmt: skip
    assert outcome.total.item() == math.log(2)
    assert float(outcome.measures["accuracy"]) == 0.5
    assert float(outcome.measures["margin_abs"]) == 0.0
    (gradient,) = torch.autograd.grad(outcome.total, weight)
    assert float(gradient.abs().max()) < 1e-14


def test_a_swapped_pair_is_the_other_side_of_the_sigmoid():
    win, lose, reference_win, reference_lose = mean_errors(velocities())
    forth = dpo_loss(win, lose, reference_win, reference_lose, 0.7)
    back = dpo_loss(lose, win, reference_lose, reference_win, 0.7)
    torch.testing.assert_close((-forth).exp() + (-back).exp(), torch.ones(3).double(), rtol=1e-12, atol=0)


def test_far_margins_stay_finite():
    far = torch.tensor([1e6], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1, dtype=torch.float64)
    for win, lose, expected in ((far, zero, 1e6), (zero, far, 0.0)):
        loss = dpo_loss(win, lose, zero, zero, 1.0).sum()
        assert loss.item() == expected
        (gradient,) = torch.autograd.grad(loss, far)
        assert torch.isfinite(gradient).all()


def test_small_margins_survive_in_float32_under_large_sums():
    """A sum of half a million squares of float32 would lose a margin of a hundredth."""
    target = torch.zeros(2, 1, 2**19)
    policy, reference = torch.ones_like(target), torch.ones_like(target)
    policy[0, 0, :8] -= 2**-11
    expected = 8 * (1 - (1 - 2**-11) ** 2)
    outcome = outcome_of(PairVelocities(policy, reference, target), ALL[:1], ANCHORED, 0.05)
    assert float(outcome.measures["margin"]) == pytest.approx(expected, rel=1e-6)
    assert outcome.total.dtype == torch.float32


def test_auto_beta_settles_where_the_factor_is_the_wanted_one():
    config, mean = replace(ANCHORED, auto_beta=AUTO), None
    assert beta_of(config, mean) == ANCHORED.beta
    for _ in range(300):
        mean = next_margin_mean(mean, 2.5, AUTO)
    beta = beta_of(config, mean)
    assert 1 / (1 + math.exp(beta * 2.5)) == pytest.approx(0.2, rel=1e-12)


def test_auto_beta_forgets_by_its_decay_and_keeps_its_limits():
    mean = next_margin_mean(None, 1.0, AUTO)
    for _ in range(10):
        mean = next_margin_mean(mean, 3.0, AUTO)
    assert mean == pytest.approx(3 - 2 * 0.9**10, rel=1e-12)
    config = replace(ANCHORED, auto_beta=AUTO)
    assert beta_of(config, 0.0) == AUTO.high
    assert beta_of(config, 1e9) == AUTO.low
    assert beta_of(ANCHORED, 3.0) == ANCHORED.beta


def test_dpop_costs_only_where_the_winner_got_worse():
    one = torch.ones(1, dtype=torch.float64)
    better, worse = (dpo_loss(win, one, one, one, 1.0, dpop=5.0) for win in (0.5 * one, 1.5 * one))
    assert float(better) == pytest.approx(math.log(1 + math.exp(-0.5)), rel=1e-12)
    assert float(worse) == pytest.approx(math.log(1 + math.exp(0.5 + 5 * 0.5)), rel=1e-12)


def test_the_output_anchor_is_half_the_two_distances():
    seen = velocities()
    term = outcome_of(seen, ALL, replace(ANCHORED, output_anchor=0.8), 0.05).terms["output_anchor"]
    apart = sum(nn.functional.mse_loss(seen.policy[k], seen.reference[k]) for k in (0, 1))
    torch.testing.assert_close(term, 0.8 * 0.5 * apart, rtol=1e-12, atol=0)


def test_no_dpo_weight_leaves_the_anchors():
    seen = velocities()
    outcome = outcome_of(seen, ALL, replace(ANCHORED, dpo_weight=0.0), 0.05)
    anchors = outcome.terms["win_anchor"] + outcome.terms["lose_anchor"]
    torch.testing.assert_close(outcome.total, anchors, rtol=0, atol=0)


def test_margin_dropout_leaves_out_its_share_and_keeps_the_anchors():
    count, weight = 2000, noise(2, 2)
    x_win, x_lose = noise(count, 2, 1, 1), noise(count, 2, 1, 1, seed=1)

    def outcome(frac: float, seed: int):
        config = replace(ANCHORED, margin_dropout=frac)
        seeds = generators_from(range(seed, seed + count))
        return preference_outcome(linear(weight), linear(weight), None, x_win, x_lose, UNIFORM, seeds, config, 0.05)

    full, some, again, other = outcome(0.0, 0), outcome(0.75, 0), outcome(0.75, 0), outcome(0.75, count)
    # Every kept pair costs log 2 at the start, so the mean counts them; 4.5 standard deviations.
    kept = float(some.terms["dpo"]) / math.log(2)
    assert kept == pytest.approx(0.25, abs=4.5 * math.sqrt(0.25 * 0.75 / count))
    assert torch.equal(some.terms["dpo"], again.terms["dpo"])
    assert float(other.terms["dpo"]) != float(some.terms["dpo"])
    assert torch.equal(some.terms["win_anchor"], full.terms["win_anchor"])
    assert float(some.measures["win_coefficient"]) == pytest.approx(0.35 / 2 + 0.025 * kept, rel=1e-9)


def test_one_call_each_with_the_pairs_time_and_noise():
    calls: dict[str, list[tuple[Tensor, Tensor, object]]] = {"model": [], "reference": []}
    modes: list[bool] = []

    def spy(name: str):
        def network(x: Tensor, t: Tensor, condition: str) -> Tensor:
            calls[name].append((x, t, condition))
            modes.append(torch.is_grad_enabled())
            return torch.zeros_like(x)

        return network

    x_win, x_lose = noise(*SHAPE), noise(*SHAPE, seed=1)
    seeds = generators_from(range(3))
    preference_outcome(spy("model"), spy("reference"), "texts", x_win, x_lose, UNIFORM, seeds, ANCHORED, 0.05)
    assert [len(seen) for seen in calls.values()] == [1, 1]
    assert sorted(modes) == [False, True]
    (x, t, condition), (x_reference, t_reference, _) = calls["model"][0], calls["reference"][0]
    assert condition == "texts"
    assert torch.equal(x, x_reference)
    assert torch.equal(t, t_reference)
    assert torch.equal(t[:3], t[3:])
    # The same noise: what is left of it is the difference of the images.
    left = (1 - t[:3]).reshape(-1, 1, 1, 1) * (x_win - x_lose)
    torch.testing.assert_close(x[:3] - x[3:], left, rtol=1e-9, atol=1e-12)


def test_the_reference_gets_no_gradient():
    weight, reference = noise(2, 2).requires_grad_(), noise(2, 2, seed=1).requires_grad_()
    outcome_of_linear(weight, reference, ANCHORED).total.backward()
    assert weight.grad is not None
    assert reference.grad is None


def test_a_batch_cut_in_parts_is_the_mean_of_the_parts():
    x_win, x_lose, weight, reference = (
        noise(4, 2, 2, 2),
        noise(4, 2, 2, 2, seed=1),
        noise(2, 2),
        noise(2, 2, seed=3),
    )
    config = replace(ANCHORED, margin_dropout=0.5, winner_preserving=0.9, output_anchor=0.1)
    whole, first, second = (
        preference_outcome(
            linear(weight), linear(reference), None, x_win[part], x_lose[part], UNIFORM,
            generators_from(range(4)[part]), config, 0.05,
        )
        for part in (slice(0, 4), slice(0, 2), slice(2, 4))
    )  # fmt: skip
    for name, value in whole.terms.items():
        torch.testing.assert_close(value, (first.terms[name] + second.terms[name]) / 2, rtol=1e-12, atol=0)


def test_measures_are_finite_scalars_even_where_the_reference_says_zero():
    outcome = outcome_of_linear(noise(2, 2), torch.zeros(2, 2, dtype=torch.float64), ANCHORED)
    assert all(value.shape == () and torch.isfinite(value) for value in outcome.measures.values())
    assert not any(value.requires_grad for value in outcome.measures.values())


def test_padding_of_texts_changes_nothing():
    """Through a real transformer: longer padding, with anything in it, is not seen."""
    policy, reference = tiny_denoiser(), tiny_denoiser()
    with torch.no_grad():
        for place, weight in enumerate(policy.parameters()):
            weight += 0.05 * noise(*weight.shape, seed=place).float()
    states, lengths = noise(2, 4, TEXT_DIM).float(), torch.tensor([4, 2])
    states[1, 2:] = 0
    padded = torch.cat([states, 9 * torch.ones(2, 3, TEXT_DIM)], dim=1)
    short, long = (repeated(TextCondition(one, lengths), 2) for one in (states, padded))
    x_win, x_lose = (noise(2, CHANNELS, 2, 2, seed=seed).float() for seed in (1, 2))

    def outcome(condition: TextCondition):
        seeds = generators_from(range(2))
        return preference_outcome(policy, reference, condition, x_win, x_lose, UNIFORM, seeds, ANCHORED, 0.05)

    one, other = outcome(short), outcome(long)
    assert abs(float(one.measures["margin"])) > 1e-3
    for name, value in (one.terms | one.measures).items():
        torch.testing.assert_close((other.terms | other.measures)[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beta": 0.0}, "beta must be positive"),
        ({"lose_anchor": -0.1}, "lose_anchor must not be negative"),
        ({"dpop": math.nan}, "dpop must not be negative"),
        ({"winner_preserving": 1.5}, "winner_preserving must be in"),
        ({"margin_dropout": 1.0}, "margin_dropout must be in"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(ANCHORED, **change)


@pytest.mark.parametrize("change", [{"target": 0.5}, {"decay": 1.0}, {"low": 0.0}, {"high": 1e-4}])
def test_impossible_limits_of_beta_are_refused(change):
    with pytest.raises(ValueError, match=r"0 < target < 0\.5"):
        replace(AUTO, **change)
