"""The head's distribution and expectation against numpy, and that what is kept computes what was trained."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from components.models.score_head import LEVELS, ScoreHead, expectation, identity_head, score


def trained(d: int = 7) -> ScoreHead:
    """A head as training leaves it: some weights, features far from standard ones."""
    generator = torch.Generator().manual_seed(0)
    head = ScoreHead(torch.randn(d, generator=generator) * 5, torch.rand(d, generator=generator) + 0.5)
    with torch.no_grad():
        head.linear.weight.copy_(torch.randn(LEVELS, d, generator=generator))
        head.linear.bias.copy_(torch.randn(LEVELS, generator=generator))
    return head


def test_a_new_head_knows_nothing_and_says_the_middle():
    head = ScoreHead(torch.zeros(3), torch.ones(3))
    expected, distribution = score(head.probe(), np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))
    np.testing.assert_allclose(expected, 50, rtol=1e-6)
    np.testing.assert_allclose(distribution, 1 / LEVELS, rtol=1e-5)


def test_what_is_kept_says_what_was_trained():
    head, features = trained(), torch.randn(9, 7, generator=torch.Generator().manual_seed(1)) * 5
    expected, distribution = score(head.probe(), features.numpy())
    told = softmax(head(features).detach().double().numpy(), axis=1)
    np.testing.assert_allclose(distribution, told, atol=1e-5)
    np.testing.assert_allclose(expected, told @ np.arange(101), atol=1e-3)


def test_a_head_goes_on_from_one_that_was_kept():
    kept = trained().probe()
    again = ScoreHead(torch.full((7,), 3.0), torch.full((7,), 2.0), kept).probe()
    np.testing.assert_allclose(again.weight, kept.weight, atol=1e-5)
    np.testing.assert_allclose(again.bias, kept.bias, atol=1e-4)


def test_the_identity_reads_logits_as_they_are():
    logits = np.random.default_rng(0).normal(0, 3, (5, LEVELS)).astype(np.float32)
    expected, distribution = score(identity_head(), logits)
    np.testing.assert_allclose(distribution, softmax(logits.astype(np.float64), axis=1), atol=1e-6)
    np.testing.assert_allclose(expected, softmax(logits.astype(np.float64), axis=1) @ np.arange(101), atol=1e-3)


@pytest.mark.parametrize("level", [0, 42, 100])
def test_a_sure_level_is_the_score(level):
    assert expectation(np.eye(LEVELS)[[level]]).tolist() == [level]


def test_logits_far_away_stay_scores():
    logits = np.array([[1e4] + [0] * 100, [-1e4] + [0] * 99 + [1e4]], np.float32)
    np.testing.assert_allclose(score(identity_head(), logits)[0], [0, 100], atol=1e-3)
