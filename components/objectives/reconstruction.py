"""The autoencoder's objective: what it draws must look like what it saw, and its latents must be easy to learn.

Terms: L1 in pixels; L1 at half size, which weighs shapes above pixels; L1 of the horizontal and vertical differences,
which weighs edges; the divergence of the posterior from N(0, 1), which keeps the latents compact; and `coarse_l1`,
the error of decoding *averaged* latents against the averaged image, which makes the latents follow changes of scale.
Source: Kingma and Welling 2013, arXiv:1312.6114, eq. 7 (KL); Kouzelis et al. 2025, arXiv:2502.09509 (scale).
"""

from dataclasses import asdict

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from components.objectives.config import ReconstructionWeights


def reconstruction_terms(
    images: Float[Tensor, "b c h w"],
    decoded: Float[Tensor, "b c h w"],
    mean: Float[Tensor, "b z y x"],
    log_variance: Float[Tensor, "b z y x"],
) -> dict[str, Float[Tensor, ""]]:
    """The terms by name, each a mean over its elements, so that none depends on the resolution."""
    return {
        "l1": l1(decoded, images),
        "half_l1": l1(halve(decoded), halve(images)),
        "gradient_l1": l1(decoded.diff(dim=-1), images.diff(dim=-1)) + l1(decoded.diff(dim=-2), images.diff(dim=-2)),
        "kl": kl_to_standard_normal(mean, log_variance),
    }


def coarse_term(
    images: Float[Tensor, "b c h w"], decoded_coarse: Float[Tensor, "b c h2 w2"]
) -> dict[str, Float[Tensor, ""]]:
    """The term of decoding latents that were averaged 2x2, against the images averaged 2x2."""
    return {"coarse_l1": l1(decoded_coarse, halve(images))}


def weighted_total(terms: dict[str, Float[Tensor, ""]], weights: ReconstructionWeights) -> Float[Tensor, ""]:
    """Sum of the terms times the weights of their names; a weight without its term counts as zero."""
    by_name = asdict(weights)
    if unknown := set(terms) - set(by_name):
        raise ValueError(f"no weight for the terms {sorted(unknown)}; there are weights for {sorted(by_name)}")
    return torch.stack([by_name[name] * value for name, value in terms.items()]).sum()


def l1(a: Float[Tensor, " *shape"], b: Float[Tensor, " *shape"]) -> Float[Tensor, ""]:
    """Mean absolute difference."""
    return (a - b).abs().mean()


def halve(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """Images at half size, each pixel the mean of four."""
    return functional.avg_pool2d(images, 2)


def kl_to_standard_normal(mean: Float[Tensor, " *shape"], log_variance: Float[Tensor, " *shape"]) -> Float[Tensor, ""]:
    """KL( N(mean, exp(log_variance)) || N(0, 1) ) per element, in nats, averaged.

    Source: Kingma and Welling 2013, arXiv:1312.6114, appendix B.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
