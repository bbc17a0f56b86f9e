"""A committee's weights fitted to data: in each cell of domain and noise band those whose mixture errs least.

With residuals r_k = v_k - (eps - x_0) of expert k on training images and weights of sum 1, the flow-matching error of
the mixture is |sum_k W_k r_k|^2 = W' G W with G_kl = <r_k, r_l>, so that a cell's K x K Gram matrix is all that is
needed, and noise that the experts share (no velocity predicts it) adds the same to every choice. The objective is
convex; its minimum is found exactly. The softmax whose rows these are has the logits log W.

Source: arXiv:2605.25347, section 2.2.3 (a weight per expert, noise level and prompt); that they are fitted so is ours.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import torch
from einops import einsum
from jaxtyping import Float, Float64
from torch import Tensor

from components.objectives.committee import Band, CommitteeConfig, Role


def residual_gram(
    velocities: Float[Tensor, "k b *rest"], target: Float[Tensor, " b *rest"]
) -> Float64[Tensor, "b k k"]:
    """Each sample's Gram matrix of the experts' residuals, a mean over elements; its diagonal is their errors."""
    residuals = (velocities.double() - target.double()).flatten(2)
    return einsum(residuals, residuals, "k b d, l b d -> b k l") / residuals.shape[2]


def fitted_committee(
    rule: CommitteeConfig,
    grams: Float64[Tensor, "n k k"],
    t: Float[Tensor, " n"],
    domains: Sequence[str],
    *,
    pull: float,
    min_samples: int,
) -> CommitteeConfig:
    """The rule's committee with fitted weights, the same fit for both roles; the general domain's is to all samples.

    `pull` holds weights to the rule's where experts hardly differ, see `simplex_weights`. A cell of fewer than
    `min_samples` samples keeps the row that the rule has for it.
    """
    bands = list[Band](map(rule.band, t.tolist()))
    named = dict.fromkeys([*rule.weights["dm"], *rule.weights["ca"], *domains])

    def row(role: Role, domain: str, band: Band) -> tuple[float, ...]:
        old = rule.weights[role].get(domain, rule.weights[role][rule.general])[band]
        is_of_domain = [domain in (one, rule.general) for one in domains]
        cell = [place for place, of in enumerate(bands) if of == band and is_of_domain[place]]
        if len(cell) < min_samples:
            return old
        return simplex_weights(grams[cell].mean(dim=0), old, pull)

    tables = {
        role: {domain: {band: row(role, domain, band) for band in ("high", "middle", "low")} for domain in named}
        for role in ("dm", "ca")
    }
    return replace(rule, weights=tables)


def simplex_weights(gram: Float64[Tensor, "k k"], prior: Sequence[float], pull: float) -> tuple[float, ...]:
    """The weights, at least 0 and of sum 1, of least W' G W + pull d^2 |W - prior|^2; `pull` must be positive.

    d^2 is the mean square by which two experts differ, so that `pull` has no unit; the prior where they do not differ.
    Exact, by looking at every set of experts that may count: 2^K small systems.
    """
    if pull <= 0:
        raise ValueError(f"pull must be positive, got {pull}")
    gram, held = gram.cpu(), torch.tensor(prior, dtype=torch.float64)
    size = len(held)
    apart = 2 * (gram.diagonal().mean() - gram.mean()) * size / max(size - 1, 1)
    if apart <= 1e-12 * gram.diagonal().mean():
        return tuple(prior)
    # With Q and l as below, what is minimised is W' Q W - 2 W' l and a constant.
    quadratic = gram + pull * apart * torch.eye(size, dtype=torch.float64)
    linear = pull * apart * held
    best, least = held, float("inf")
    for count in range(1, size + 1):
        for support in combinations(range(size), count):
            weights = _stationary(quadratic, linear, list(support))
            error = float(weights @ quadratic @ weights - 2 * weights @ linear)
            if float(weights.min()) >= 0 and error < least:
                best, least = weights, error
    return tuple((best / best.sum()).tolist())


def _stationary(
    quadratic: Float64[Tensor, "k k"], linear: Float64[Tensor, " k"], support: list[int]
) -> Float64[Tensor, " k"]:
    """Weights of sum 1 that are 0 outside `support` and on it no better to be had, whatever their signs."""
    size = len(support)
    system = torch.ones(size + 1, size + 1, dtype=torch.float64)
    system[-1, -1] = 0
    system[:size, :size] = quadratic[support][:, support]
    right = torch.cat([linear[support], torch.ones(1, dtype=torch.float64)])
    weights = torch.zeros(len(linear), dtype=torch.float64)
    weights[support] = torch.linalg.solve(system, right)[:size]
    return weights
