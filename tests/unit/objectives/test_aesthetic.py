"""The losses of taste against scipy, closed forms and finite differences."""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, softmax
from scipy.stats import norm
from torch.autograd import gradcheck

from components.objectives.aesthetic import aesthetic, expected_score, ranking_loss, score_loss, soft_levels
from components.objectives.aesthetic_config import AestheticLoss

CONFIG = AestheticLoss(spread=6.0, ranking_weight=0.5, ranking_scale=10.0)


def pairs(b: int = 6, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(b, 2, 101, generator=generator, dtype=dtype)
    scores = 100 * torch.rand(b, 2, generator=generator, dtype=dtype)
    return logits, scores, torch.tensor([1.0, 0.0, 0.5], dtype=dtype).repeat(b // 3)


@pytest.mark.parametrize("score", [0.0, 33.3, 100.0])
def test_a_soft_score_is_a_gaussian_over_the_levels(score):
    told = norm.pdf(np.arange(101), score, 6.0)
    found = soft_levels(torch.tensor([score]), 6.0).numpy()[0]
    np.testing.assert_allclose(found, told / told.sum(), atol=1e-6)


def test_a_narrow_gaussian_around_a_tier_is_that_level():
    found = soft_levels(torch.tensor([100.0 * (7 - 1) / 9]), 0.1)  # tier 7 is 66.7
    assert int(found.argmax()) == 67


def test_the_cross_entropy_is_that_of_the_definition():
    logits, scores, _ = pairs()
    target = norm.pdf(np.arange(101), scores.numpy()[..., None], 6.0)
    target /= target.sum(axis=-1, keepdims=True)
    told = -(target * log_softmax(logits.numpy(), axis=-1)).sum(axis=-1).mean()
    assert float(score_loss(logits, scores, 6.0)) == pytest.approx(told, rel=1e-6)


def test_the_cross_entropy_is_least_at_the_soft_score_itself():
    scores = torch.tensor([20.0, 80.0])
    target = soft_levels(scores, 6.0)
    least = float(-(target * target.clamp_min(1e-30).log()).sum(-1).mean())
    assert float(score_loss(target.clamp_min(1e-30).log(), scores, 6.0)) == pytest.approx(least, rel=1e-5)
    assert float(score_loss(target.clamp_min(1e-30).log() / 2, scores, 6.0)) > least


def test_the_ranking_loss_is_bradley_and_terry_s():
    scores = torch.tensor([[60.0, 40.0], [10.0, 90.0], [55.0, 45.0]])
    points = torch.tensor([1.0, 1.0, 0.5])
    chance = expit(np.array([20.0, -80.0, 10.0]) / 10)
    told = -(points.numpy() * np.log(chance) + (1 - points.numpy()) * np.log1p(-chance)).mean()
    assert float(ranking_loss(scores, points, 10.0)) == pytest.approx(told, rel=1e-5)


def test_gradients_are_those_of_finite_differences():
    logits, scores, points = pairs(3)

    def total(logits: torch.Tensor) -> torch.Tensor:
        return aesthetic(logits, scores, points, CONFIG).total

    assert gradcheck(total, (logits.requires_grad_(),), eps=1e-6, atol=1e-4)


def test_sides_can_be_exchanged():
    logits, scores, points = pairs()
    one, other = (
        aesthetic(logits, scores, points, CONFIG),
        aesthetic(logits.flip(1), scores.flip(1), 1 - points, CONFIG),
    )
    assert float(one.total) == pytest.approx(float(other.total), rel=1e-9)
    assert float(one.measures["order_accuracy"]) == float(other.measures["order_accuracy"])


def test_measures_are_counted_by_hand():
    logits = torch.full((4, 2, 101), -50.0)
    for pair, levels in enumerate([(90, 10), (10, 90), (50, 50), (80, 20)]):
        for side, level in enumerate(levels):
            logits[pair, side, level] = 50.0
    points = torch.tensor([1.0, 1.0, 1.0, 0.5])  # right, wrong, undecided by the model, undecided by people
    found = aesthetic(logits, expected_score(logits) + 3, points, CONFIG).measures
    assert float(found["order_accuracy"]) == pytest.approx(0.5)
    assert float(found["score_error"]) == pytest.approx(3.0, rel=1e-4)
    undecided = aesthetic(logits, expected_score(logits), torch.full((4,), 0.5), CONFIG).measures
    assert float(undecided["order_accuracy"]) == 0.5


def test_without_a_weight_there_is_no_ranking():
    logits, scores, points = pairs()
    found = aesthetic(logits, scores, points, AestheticLoss(6.0, 0.0, 10.0))
    assert list(found.terms) == ["levels"]
    np.testing.assert_allclose(
        expected_score(logits).numpy(), softmax(logits.numpy(), axis=-1) @ np.arange(101), rtol=1e-9
    )


@pytest.mark.parametrize("wrong", [(0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, 0.0)])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="must be above 0"):
        AestheticLoss(*wrong)
