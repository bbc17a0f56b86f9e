"""A committee's weights fitted to training images, before a distillation begins.

All experts see the same images, noise and noise levels: the mean squared error of any mixture of them is then a matter
of their residuals' Gram matrices, see `components.objectives.routing`.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from components.data.buckets import Bucket
from components.data.latents import LatentStore
from components.models.committee import Distilled
from components.objectives.committee import CommitteeConfig
from components.objectives.routing import fitted_committee, residual_gram
from components.paths.interpolant import interpolate, velocity
from components.paths.noise import normal_noise
from components.paths.timesteps import draw_uniform
from components.training.batches import Batch
from components.training.distill_config import DistillConfig
from components.training.sft import sft_source


def fit_router(
    model: Distilled,
    curated: Mapping[Bucket, LatentStore],
    earlier: Mapping[Bucket, LatentStore],
    domain_of: Mapping[str, str],
    config: DistillConfig,
) -> CommitteeConfig:
    """The committee of `config` with the weights that err least on training images, mixed as in training.

    Computed where the model lies, from the router's seed alone: processes that hold the whole model agree. Noise levels
    are uniform within `config.levels`. Without a router, the committee as it is.
    """
    rule, router, size = config.committee, config.router, config.batch.batch_size
    if router is None:
        return rule
    source = sft_source(curated, earlier, config.batch, config.prior, seed=router.seed)
    device = next(model.parameters()).device
    low, high = config.levels
    grams, levels, domains = list[Tensor](), list[Tensor](), list[str]()
    for start in range(0, router.num_images, size):
        batch = source.at(start, min(size, router.num_images - start)).to(device)
        t = (low + (high - low) * draw_uniform(batch.generators)).to(device)
        grams.append(expert_grams(model, rule.experts, batch, t).cpu())
        levels.append(t.cpu())
        domains += [domain_of.get(name, rule.general) for name in batch.sample_ids]
    return fitted_committee(
        rule, torch.cat(grams), torch.cat(levels), domains, pull=router.pull, min_samples=router.min_samples
    )


def expert_grams(
    model: Distilled, experts: tuple[str, ...], batch: Batch, t: Float[Tensor, " b"]
) -> Float64[Tensor, "b k k"]:
    """Each sample's Gram matrix of the experts' residuals at these noise levels, with the samples' own noise."""
    eps = normal_noise(batch.x_0, batch.generators)
    x_t = interpolate(batch.x_0, eps, t)
    said = [model.committee.expert(name, x_t, t, batch.condition, fake_scale=0.0) for name in experts]
    return residual_gram(torch.stack(said), velocity(batch.x_0, eps))


def router_metrics(committee: CommitteeConfig) -> dict[str, float]:
    """Every weight of the tables as router/<role>/<domain>/<band>/<expert>."""
    return {
        f"router/{role}/{domain}/{band}/{name}": weight
        for role, of_domains in committee.weights.items()
        for domain, of_bands in of_domains.items()
        for band, row in of_bands.items()
        for name, weight in zip(committee.experts, row, strict=True)
    }
