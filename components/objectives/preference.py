"""Direct preference optimisation of a velocity network, held by anchors on both images of a pair.

With e = ||v(x_t, t) - (eps - x_0)||^2, the same t and eps for winner (w) and loser (l), and a frozen reference:

    margin = -[(e_w - e_l) - (e_w^ref - e_l^ref)]                   positive: the winner is favoured
    L = -log sigmoid(beta margin) + lambda_w e_w + lambda_l e_l     averaged over pairs

**Sum or mean.** Over D elements a sum is D times a mean, so the two reductions decide whether a loser is pushed at all.
With s = sigmoid(-beta margin), which is 1/2 at the start and falls to 0 as a pair is won, the gradient is
c_w grad e_w + c_l grad e_l; per unit of the DPO term's own error,

    dpo, anchors     c_w                     c_l
    the same         lambda_w + beta s       lambda_l - beta s
    sum, mean        lambda_w / D + beta s   lambda_l / D - beta s
    mean, sum        lambda_w D + beta s     lambda_l D - beta s

With beta 0.05 and lambda 0.35, 0.15 the first row never pushes (c_l is 0.125 at the start and rises to 0.15): it is a
weighted fine-tune on both images. The second is DPO: losers are pushed until s = lambda_l / (beta D), and then held.
Published losses that take means write beta / 2 for this beta; beta of a sum is that of a mean divided by D.

Source: Wallace et al. 2023, arXiv:2311.12908 (loss); arXiv:2605.25347, section 2.2.2 (anchors).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from components.objectives.config import AutoBeta, PreferenceLoss, Reduction
from components.objectives.flow_matching import Condition, Model
from components.objectives.outcome import Outcome
from components.paths.config import TimestepDensity
from components.paths.interpolant import interpolate, velocity
from components.paths.noise import normal_noise
from components.paths.timesteps import draw_timesteps, draw_uniform

TINY = 1e-12
"""Keeps ratios to a reference that says zero, or that is without error, finite."""


@dataclass(frozen=True)
class PairVelocities:
    """What policy and reference say of each pair, and what is right; winners first, then losers, on the first axis."""

    policy: Float[Tensor, "2 b *rest"]
    reference: Float[Tensor, "2 b *rest"]
    target: Float[Tensor, "2 b *rest"]


def preference_outcome(
    model: Model[Condition],
    reference: Model[Condition],
    condition: Condition,
    x_win: Float[Tensor, " b *rest"],
    x_lose: Float[Tensor, " b *rest"],
    density: TimestepDensity,
    generators: Sequence[torch.Generator],
    config: PreferenceLoss,
    beta: float,
) -> Outcome:
    """DPO and anchors on a batch of pairs, with all that tells whether they are healthy.

    Each network is called once, on the winners followed by the losers: `condition` is for all of them in this order.
    The reference is called without gradients. Each pair's generator gives its time, then its noise, then whether its
    DPO term is left out. `beta` is apart from `config` because it may follow the margins, see `beta_of`.
    """
    t = draw_timesteps(density, generators).to(x_win)
    eps = normal_noise(x_win, generators)
    is_kept = draw_uniform(generators).to(x_win.device) >= config.margin_dropout
    return outcome_of(pair_velocities(model, reference, condition, x_win, x_lose, t, eps), is_kept, config, beta)


def pair_velocities(
    model: Model[Condition],
    reference: Model[Condition],
    condition: Condition,
    x_win: Float[Tensor, " b *rest"],
    x_lose: Float[Tensor, " b *rest"],
    t: Float[Tensor, " b"],
    eps: Float[Tensor, " b *rest"],
) -> PairVelocities:
    """Velocities at the same time and noise for both images of a pair, in the type of `x_win`."""
    x_0, eps, t = torch.cat([x_win, x_lose]), torch.cat([eps, eps]), torch.cat([t, t])
    x_t = interpolate(x_0, eps, t)
    with torch.no_grad():
        expected = reference(x_t, t, condition)
    policy, expected, target = (
        rearrange(one.to(x_0.dtype), "(k b) ... -> k b ...", k=2)
        for one in (model(x_t, t, condition), expected, velocity(x_0, eps))
    )
    return PairVelocities(policy, expected, target)


def outcome_of(seen: PairVelocities, is_kept: Bool[Tensor, " b"], config: PreferenceLoss, beta: float) -> Outcome:
    """Terms and measures; pairs that are not kept have no DPO term, and its mean is over all pairs all the same."""
    size = seen.target[0, 0].numel()
    sums = summed_errors(seen.policy, seen.target)
    reference_sums = summed_errors(seen.reference, seen.target)
    win, lose = sums * per_error(config.dpo_reduction, size)
    reference_win, reference_lose = reference_sums * per_error(config.dpo_reduction, size)
    scale = torch.ones_like(lose)
    if config.winner_preserving is not None:
        win_residual, lose_residual = (seen.policy - seen.target).detach()
        scale = winner_preserving_scale(win_residual, lose_residual, config.winner_preserving).to(scale)
    errors = (win, with_scaled_gradient(lose, scale), reference_win, reference_lose)
    losses, factor = dpo_loss(*errors, beta, dpop=config.dpop), gradient_factor(*errors, beta, dpop=config.dpop)
    anchors = (sums * per_error(config.anchor_reduction, size)).mean(dim=1)
    terms = {
        "dpo": config.dpo_weight * (losses * is_kept).mean(),
        "win_anchor": config.win_anchor * anchors[0],
        "lose_anchor": config.lose_anchor * anchors[1],
    }
    if config.output_anchor > 0:
        # The mean over both images is half the sum of their means.
        terms["output_anchor"] = config.output_anchor * (seen.policy - seen.reference).square().mean()
    coefficients = gradient_coefficients(factor, scale, win > reference_win, is_kept, size, config, beta)
    measures = {
        **error_measures(sums / size, reference_sums / size),
        **margin_measures(preference_margin(*errors)),
        **velocity_measures(seen),
        "gradient_factor": factor.mean(),
        "win_coefficient": coefficients[0].mean(),
        "lose_coefficient": coefficients[1].mean(),
        "winner_scale": scale.mean(),
        "beta": torch.as_tensor(beta),
    }
    return Outcome(
        {name: term.to(seen.target) for name, term in terms.items()},
        {name: measure.detach().to(seen.target) for name, measure in measures.items()},
    )


def summed_errors(said: Float[Tensor, "2 b *rest"], target: Float[Tensor, "2 b *rest"]) -> Float[Tensor, "2 b"]:
    """Squared errors summed over a sample's elements, in float64.

    float64: margins are differences of sums that may be 10^5 times larger, of which float32 would leave two digits.
    """
    return (said - target).square().flatten(2).sum(dim=2, dtype=torch.float64)


def per_error(reduction: Reduction, size: int) -> float:
    """What a sum over `size` elements is multiplied with to be reduced so."""
    return 1.0 if reduction == "sum" else 1 / size


def preference_margin(
    win: Float[Tensor, " b"],
    lose: Float[Tensor, " b"],
    reference_win: Float[Tensor, " b"],
    reference_lose: Float[Tensor, " b"],
) -> Float[Tensor, " b"]:
    """-[(win - lose) - (reference_win - reference_lose)]: by how much the policy favours winners more."""
    return (lose - reference_lose) - (win - reference_win)


def dpo_logit(
    win: Float[Tensor, " b"],
    lose: Float[Tensor, " b"],
    reference_win: Float[Tensor, " b"],
    reference_lose: Float[Tensor, " b"],
    beta: float,
    *,
    dpop: float = 0.0,
) -> Float[Tensor, " b"]:
    """Beta times (margin - dpop max(0, win - reference_win)).

    Source: Pal et al. 2024, arXiv:2402.13228 (the penalty).
    """
    margin = preference_margin(win, lose, reference_win, reference_lose)
    return beta * (margin - dpop * functional.relu(win - reference_win))


def dpo_loss(
    win: Float[Tensor, " b"],
    lose: Float[Tensor, " b"],
    reference_win: Float[Tensor, " b"],
    reference_lose: Float[Tensor, " b"],
    beta: float,
    *,
    dpop: float = 0.0,
) -> Float[Tensor, " b"]:
    """-log sigmoid of the logit, for each pair; log 2 where policy and reference agree.

    Source: Wallace et al. 2023, arXiv:2311.12908, which writes beta / 2 for this beta.
    """
    return -functional.logsigmoid(dpo_logit(win, lose, reference_win, reference_lose, beta, dpop=dpop))


def gradient_factor(
    win: Float[Tensor, " b"],
    lose: Float[Tensor, " b"],
    reference_win: Float[Tensor, " b"],
    reference_lose: Float[Tensor, " b"],
    beta: float,
    *,
    dpop: float = 0.0,
) -> Float[Tensor, " b"]:
    """Sigmoid of minus the logit: 1/2 where policy and reference agree, 0 where a pair is won."""
    return torch.sigmoid(-dpo_logit(win, lose, reference_win, reference_lose, beta, dpop=dpop))


def winner_preserving_scale(
    win_residual: Float[Tensor, " b *rest"], lose_residual: Float[Tensor, " b *rest"], mu: float
) -> Float[Tensor, " b"]:
    """Scale of the loser's gradient with which, to first order, a step does not raise the winner's error.

    clip((1 - mu) ||g_w||^2 / <g_w, g_l>, 0, 1) where <g_w, g_l> > 0, and else 1, with the gradients of the mean errors
    to the network's outputs, g = 2 (v - target) / D: no second backward. One scale per pair; the published code takes
    one per micro-batch.

    Source: arXiv:2511.03317 (Diffusion-SDPO).
    """
    g_win, g_lose = (residual.flatten(1) * (2 / residual[0].numel()) for residual in (win_residual, lose_residual))
    product = (g_win * g_lose).sum(dim=1)
    wanted = (1 - mu) * g_win.square().sum(dim=1) / (product + 1e-9)
    return torch.where(product > 0, wanted.clamp(0, 1), 1.0)


def with_scaled_gradient(value: Float[Tensor, " b"], scale: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """The same values; gradients that flow back through them are multiplied with `scale`."""
    return value.detach() + scale * (value - value.detach())


def gradient_coefficients(
    factor: Float[Tensor, " b"],
    lose_scale: Float[Tensor, " b"],
    is_worse: Bool[Tensor, " b"],
    is_kept: Bool[Tensor, " b"],
    size: int,
    config: PreferenceLoss,
    beta: float,
) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """(c_w, c_l) of the module's table: what a pair's loss weighs the gradients of its two errors with.

    `factor` is the gradient factor, `lose_scale` the winner-preserving scale, `is_worse` says where the winner's error
    is above the reference's, `size` is D. The anchor of the outputs is not along these gradients and does not count.
    """
    push = config.dpo_weight * beta * factor * is_kept
    anchors_per_dpo = per_error(config.anchor_reduction, size) / per_error(config.dpo_reduction, size)
    win = config.win_anchor * anchors_per_dpo + push * (1 + config.dpop * is_worse)
    return win, config.lose_anchor * anchors_per_dpo - push * lose_scale


def error_measures(
    mean_errors: Float[Tensor, "2 b"], reference_errors: Float[Tensor, "2 b"]
) -> dict[str, Float[Tensor, ""]]:
    """Mean errors of winners and losers, and how they stand to the reference's: ratio and change."""
    measures: dict[str, Float[Tensor, ""]] = {}
    for name, errors, reference in zip(("win", "lose"), mean_errors, reference_errors, strict=True):
        measures[f"{name}_error"] = errors.mean()
        measures[f"{name}_error_ratio"] = errors.mean() / reference.mean().clamp_min(TINY)
        measures[f"{name}_change"] = (errors - reference).mean()
    return measures


def margin_measures(margin: Float[Tensor, " b"]) -> dict[str, Float[Tensor, ""]]:
    """Mean margin, mean size of it, and implicit accuracy: the share of positive margins, where a tie is half."""
    return {
        "margin": margin.mean(),
        "margin_abs": margin.abs().mean(),
        "accuracy": (0.5 + 0.5 * margin.sign()).mean(),
    }


@torch.no_grad()
def velocity_measures(seen: PairVelocities) -> dict[str, Float[Tensor, ""]]:
    """How parallel winner's and loser's errors are, and how far the outputs have drifted from the reference's.

    `gradient_cosine` is the mean over pairs of the cosine between the errors' gradients to the outputs, `drift` is
    the mean of (v - v_ref)^2 over the mean of v_ref^2.
    """
    win, lose = (seen.policy - seen.target).flatten(2)
    drift = (seen.policy - seen.reference).square().mean()
    return {
        "gradient_cosine": functional.cosine_similarity(win, lose, dim=1).mean(),
        "drift": drift / seen.reference.square().mean().clamp_min(TINY),
    }


def next_margin_mean(mean: float | None, margin_abs: float, auto_beta: AutoBeta) -> float:
    """The running mean of |margin| after one more; the first one is its start."""
    return margin_abs if mean is None else auto_beta.decay * mean + (1 - auto_beta.decay) * margin_abs


def beta_of(config: PreferenceLoss, margin_mean: float | None) -> float:
    """The beta at which a pair of the running mean's margin has the wanted gradient factor, within the stated limits.

    Without auto-beta, or before the first margin, it is the configured one.

    Source: `FlowDPODistiller` of bghira/SimpleTuner, which writes beta / 2 for this beta.
    """
    auto_beta = config.auto_beta
    if auto_beta is None or margin_mean is None:
        return config.beta
    wanted = math.log(1 / auto_beta.target - 1) / max(margin_mean, 1e-6)
    return min(max(wanted, auto_beta.low), auto_beta.high)
