"""An adversary beside distribution matching: a head that tells real from drawn, and a student that misleads it.

With logits h (large for real) of data noised to the same level with the same noise:

    student   softplus(-h(x_hat))
    head      softplus(-h(real)) + softplus(h(x_hat)) + r1_weight (h(real) - h(real + sigma noise))^2

The last term is sigma^2 |grad h|^2 to first order (R1) and needs no second derivative.

Source: Yin et al. 2024, arXiv:2405.14867, section 4.3 (terms, noised data); Lin et al. 2025, arXiv:2501.08316
(approximate R1).
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from components.paths.interpolant import interpolate


@dataclass(frozen=True)
class HeadInputs:
    """Noised data for the head: real, real disturbed before it was noised, and drawn; gradients flow to the last."""

    real: Float[Tensor, " b *rest"]
    disturbed: Float[Tensor, " b *rest"]
    drawn: Float[Tensor, " b *rest"]


def head_inputs(
    real: Float[Tensor, " b *rest"],
    x_hat: Float[Tensor, " b *rest"],
    t: Float[Tensor, " b"],
    eps: Float[Tensor, " b *rest"],
    disturbance: Float[Tensor, " b *rest"],
) -> HeadInputs:
    """All at the levels `t` and with the noise `eps`: noise that differs must not tell real from drawn.

    `disturbance` is sigma times noise of its own.
    """
    return HeadInputs(interpolate(real, eps, t), interpolate(real + disturbance, eps, t), interpolate(x_hat, eps, t))


def generator_term(logits: Float[Tensor, "b n"]) -> Float[Tensor, ""]:
    """Mean softplus(-h) of what the student drew: log 2 where the head cannot tell, 0 where it is misled."""
    return functional.softplus(-logits).mean()


def head_terms(
    real_logits: Float[Tensor, "b n"],
    fake_logits: Float[Tensor, "b n"],
    real_perturbed_logits: Float[Tensor, "b n"],
    r1_weight: float,
) -> dict[str, Float[Tensor, ""]]:
    """The head's three terms; x_hat belongs into them without its gradient."""
    return {
        "head_real": functional.softplus(-real_logits).mean(),
        "head_fake": functional.softplus(fake_logits).mean(),
        "head_r1": r1_weight * (real_logits - real_perturbed_logits).square().mean(),
    }
