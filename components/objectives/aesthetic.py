"""Taste over 101 levels: cross-entropy on soft scores, and a logistic loss on which of two pictures was preferred.

Source: Talebi and Milanfar 2018, arXiv:1709.05424 (distributions of scores); Burges et al. 2005 (RankNet), which is
Bradley and Terry's model of choice.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from components.models.score_head import LEVELS
from components.objectives.aesthetic_config import AestheticLoss
from components.objectives.outcome import Outcome


def soft_levels(scores: Float[Tensor, "*b"], spread: float) -> Float[Tensor, "*b 101"]:
    """A Gaussian of standard deviation `spread` around each score, over the levels 0 to 100; sums to 1."""
    levels = torch.arange(LEVELS, dtype=torch.float32, device=scores.device)
    return torch.softmax(-((levels - scores[..., None]) ** 2) / (2 * spread**2), dim=-1)


def expected_score(logits: Float[Tensor, "*b 101"]) -> Float[Tensor, "*b"]:
    """The mean level, in [0, 100]."""
    return torch.softmax(logits, dim=-1) @ torch.arange(LEVELS, dtype=logits.dtype, device=logits.device)


def score_loss(logits: Float[Tensor, "*b 101"], scores: Float[Tensor, "*b"], spread: float) -> Float[Tensor, ""]:
    """Mean cross-entropy against soft scores, in nats."""
    return -(soft_levels(scores, spread) * torch.log_softmax(logits, dim=-1)).sum(dim=-1).mean()


def ranking_loss(scores: Float[Tensor, "b 2"], points: Float[Tensor, " b"], scale: float) -> Float[Tensor, ""]:
    """Mean of -log P(what was chosen), in nats, where the first wins with P = sigmoid((first - second) / scale).

    `points` are those of the first: 1 if it won, 0 if it lost, 0.5 for a tie.
    """
    return functional.binary_cross_entropy_with_logits((scores[:, 0] - scores[:, 1]) / scale, points)


def aesthetic(
    logits: Float[Tensor, "b 2 101"], scores: Float[Tensor, "b 2"], points: Float[Tensor, " b"], config: AestheticLoss
) -> Outcome:
    """Both losses on pairs of pictures: each picture's score, and which of the two is better.

    Measures: how often the better one of a decided pair scores higher (a tie of scores counts half; 0.5 if none is
    decided), and the mean distance of a score from its label, in levels.
    """
    expected = expected_score(logits)
    terms = {"levels": score_loss(logits, scores, config.spread)}
    if config.ranking_weight:
        terms["ranking"] = config.ranking_weight * ranking_loss(expected, points, config.ranking_scale)
    with torch.no_grad():
        agrees = 0.5 + 0.5 * torch.sign((expected[:, 0] - expected[:, 1]) * (points - 0.5))
        is_decided = points != 0.5
        order = torch.where(is_decided, agrees, 0.0).sum() / is_decided.sum().clamp_min(1)
        measures = {
            "order_accuracy": torch.where(is_decided.any(), order, 0.5),
            "score_error": (expected - scores).abs().mean(),
        }
    return Outcome(terms, measures)
