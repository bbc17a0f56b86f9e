"""The adversarial part of distillation's turns: the head learns with the fake model, the student misleads it.

The head reads the backbone as it is, without any adapter. Each turn passes it once, whatever the batch holds: under
ZeRO-3 all processes must pass alike.
Source: Yin et al. 2024, arXiv:2405.14867, section 4.3.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from components.models.committee import Distilled
from components.models.denoiser import TextCondition, repeated
from components.models.discriminator import FeatureHead, check_block
from components.objectives.adversarial import generator_term, head_inputs, head_terms
from components.objectives.adversarial_config import AdversarialConfig
from components.objectives.outcome import Outcome
from components.paths.interpolant import interpolate
from components.paths.noise import normal_noise
from components.training.batches import Batch


def check_adversary(config: AdversarialConfig | None, model: Distilled) -> None:
    """ValueError where the head's block is not there, or the head is there without its settings or they without it."""
    if (config is None) != (model.head is None):
        raise ValueError("adversarial settings and a head belong together: give both or neither")
    if config is not None:
        check_block(model.transformer, config.block)


def head_outcome(
    config: AdversarialConfig,
    model: Distilled,
    batch: Batch,
    x_hat: Float[Tensor, "b c h w"],
    t: Float[Tensor, " b"],
    eps: Float[Tensor, "b c h w"],
) -> Outcome:
    """The head's terms, weighted, and how much larger its logits are for real data than for drawn ones.

    Real data are the batch's, disturbed with its samples' own random numbers; only the head gets a gradient.
    """
    disturbance = config.r1_sigma * normal_noise(x_hat, batch.generators)
    inputs = head_inputs(batch.x_0, x_hat.detach(), t, eps, disturbance)
    noised = torch.cat([inputs.real, inputs.disturbed, inputs.drawn])
    with torch.no_grad():
        features = model.committee.features(config.block, noised, t.repeat(3), repeated(batch.condition, 3))
    real, disturbed, drawn = _head_of(model)(features).chunk(3)
    terms = head_terms(real, drawn, disturbed, config.r1_weight)
    gap = (real.mean() - drawn.mean()).detach()
    return Outcome({name: config.head_weight * term for name, term in terms.items()}, {"head_gap": gap})


def misled_term(
    config: AdversarialConfig,
    model: Distilled,
    condition: TextCondition,
    x_hat: Float[Tensor, "b c h w"],
    t: Float[Tensor, " b"],
    eps: Float[Tensor, "b c h w"],
) -> Float[Tensor, ""]:
    """The student's term, weighted; its gradient reaches `x_hat` only.

    What the head's weights get is taken off again, since it would count in the gradient's norm, and it is not their
    turn. (ZeRO-3 does not allow a gradient that is taken in between.)
    """
    head = _head_of(model)
    features = model.committee.features(config.block, interpolate(x_hat, eps, t), t, condition)
    term, of_weights = (generator_term(head(seen)) for seen in (features, features.detach()))
    return config.generator_weight * (term - of_weights + of_weights.detach())


def _head_of(model: Distilled) -> FeatureHead:
    if model.head is None:
        raise RuntimeError("an adversarial turn without a head")
    return model.head
