"""Distribution matching distillation, decoupled, by a committee of teachers.

A generator's x_hat is noised; where teachers and a model of the generator itself (the "fake" one) predict different
data from it, x_hat is moved from what the fake one expects towards what the teachers do:

    g = (F - R_DM) / n_DM + (alpha - 1) (R_CA_uncond - R_CA_cond) / n_CA         all in data space
    L = 1/2 mean (x_hat - stopgrad(x_hat - g))^2                                  so that dL/dx_hat = g / elements

F - R is distribution matching (DM); the second part is guidance (CA, "CFG augmentation"), at noise levels of its own:
DM over the whole range, CA only on levels cleaner than the step's input. Each part is divided by the mean distance of
x_hat to the prediction, so that no noise level and no domain dominates. With one teacher, one level, one noise and
n = mean |x_hat - R_guided| this is DMD2's gradient (F - R_guided) / n, where guidance is the standard one: alpha 1 is
no guidance.

Source: Yin et al. 2024, arXiv:2405.14867 (DMD2); Liu et al. 2025, arXiv:2511.22677 (decoupling; time runs the other
way there); arXiv:2605.25347, section 2.2.3 (committee, decaying scale).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import einsum, reduce
from jaxtyping import Float
from torch import Tensor

from components.objectives.committee import Band, CommitteeConfig, Role
from components.paths.interpolant import over, x_0_from_v
from components.paths.timesteps import draw_uniform

TINY = 1e-6
"""Keeps a normaliser above 0 where x_hat is what the teacher predicts already."""


@dataclass(frozen=True)
class Predictions:
    """What the frozen networks say x_hat should be; no gradient flows into any of them.

    The fake one and the committee at the level of DM, and the committee with and without the prompt at the level of CA.
    """

    fake: Float[Tensor, " b *rest"]
    real: Float[Tensor, " b *rest"]
    guided_cond: Float[Tensor, " b *rest"]
    guided_uncond: Float[Tensor, " b *rest"]


def predicted_data(
    x_t: Float[Tensor, " b *rest"], v: Float[Tensor, " b *rest"], t: Float[Tensor, " b"]
) -> Float[Tensor, " b *rest"]:
    """x_0 of a velocity, computed in float64: near t = 1 it is a small difference of large numbers."""
    return x_0_from_v(x_t.double(), v.double(), t.double()).to(x_t.dtype)


def normaliser(x_hat: Float[Tensor, " b *rest"], predicted: Float[Tensor, " b *rest"]) -> Float[Tensor, " b"]:
    """The mean distance |x_hat - predicted| of each sample, in float32 or wider."""
    distance = (x_hat - predicted).abs()
    return reduce(distance.float() if distance.dtype.itemsize < 4 else distance, "b ... -> b", "mean") + TINY


def decoupled_gradient(x_hat: Float[Tensor, " b *rest"], said: Predictions, alpha: float) -> Float[Tensor, " b *rest"]:
    """The gradient g of the module's first lines; `alpha` is the guidance scale in its standard form, 1 for none."""
    guided = said.guided_uncond + alpha * (said.guided_cond - said.guided_uncond)
    matching = (said.fake - said.real) / over(normaliser(x_hat, said.real), x_hat)
    augmentation = (said.guided_uncond - said.guided_cond) / over(normaliser(x_hat, guided), x_hat)
    return matching + (alpha - 1) * augmentation


def moved_loss(x_hat: Float[Tensor, " b *rest"], gradient: Float[Tensor, " b *rest"]) -> Float[Tensor, ""]:
    """A loss whose derivative by x_hat is `gradient` over the number of elements; its value is half its mean square."""
    target = (x_hat - gradient).detach()
    return 0.5 * (x_hat - target).square().mean()


def draw_levels(
    t_step: float, low: float, high: float, generators: Sequence[torch.Generator]
) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """(t_DM, t_CA) of each sample: uniform on (low, high), and on (low, min(t_step, high)).

    ValueError where that leaves CA no level.
    """
    if not 0 <= low < min(t_step, high) <= 1:
        raise ValueError(f"levels {low} to {high} at the step of {t_step}; allowed: 0 <= low < step, low < high <= 1")
    first, second = draw_uniform(generators), draw_uniform(generators)
    return low + (high - low) * first, low + (min(t_step, high) - low) * second


def decayed_scale(step: int, initial: float, num_steps: int) -> float:
    """Scale of the fake adapters on the teachers: half a cosine from `initial` to 0 over `num_steps` generator updates.

    Source: arXiv:2605.25347, section 2.2.3; arXiv:2511.13649.
    """
    return initial / 2 * (1 + math.cos(math.pi * min(step, num_steps) / num_steps))


def committee_weights(
    config: CommitteeConfig, role: Role, t: Float[Tensor, " b"], domains: Sequence[str]
) -> Float[Tensor, "b k"]:
    """How much each expert counts for each sample: by what is asked of it, its noise level and its prompt's domain."""
    table = config.weights[role]
    bands = list[Band](map(config.band, t.tolist()))
    of_domain = [table.get(domain, table[config.general]) for domain in domains]
    rows = [weights[band] for weights, band in zip(of_domain, bands, strict=True)]
    return torch.tensor(rows, dtype=t.dtype, device=t.device)


def committee_prediction(
    weights: Float[Tensor, "b k"], predictions: Float[Tensor, "k b *rest"]
) -> Float[Tensor, " b *rest"]:
    """Sum over experts of weight times predicted data."""
    return einsum(weights.to(predictions.dtype), predictions, "b k, k b ... -> b ...")
