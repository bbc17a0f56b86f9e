import math

import pytest
import torch

from components.evaluation.config import RetrievalConfig
from components.evaluation.retrieval import contrastive_loss, retrieval_ranks, train_two_tower

CONFIG = RetrievalConfig(
    width=8, num_steps=80, batch_size=64, learning_rate=1e-2, weight_decay=0.0, feature_dropout=0.0
)


def recall_at(ranks, k):
    """Share of images whose own text is among the best `k`, as the report counts it."""
    return float((ranks < k).float().mean())


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_ranks_of_a_hand_made_example() -> None:
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    texts = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    assert retrieval_ranks(images, texts).tolist() == [0, 1, 1]
    assert recall_at(retrieval_ranks(images, texts), 1) == pytest.approx(1 / 3)
    assert recall_at(retrieval_ranks(images, texts), 2) == 1


def test_a_judge_that_cannot_tell_gets_no_credit() -> None:
    same = torch.ones(10, 4)
    assert recall_at(retrieval_ranks(same, same), 1) == 0


def test_unrelated_vectors_score_chance(generator: torch.Generator) -> None:
    n, k = 2000, 50
    images, texts = torch.randn(2, n, 16, generator=generator)
    expected, error = k / n, math.sqrt(k / n / n)
    assert recall_at(retrieval_ranks(images, texts), k) == pytest.approx(expected, abs=4 * error)


def test_the_loss_of_no_information_is_the_logarithm_of_the_batch() -> None:
    assert contrastive_loss(torch.zeros(7, 7)).item() == pytest.approx(math.log(7))


def test_the_loss_equals_its_definition(generator: torch.Generator) -> None:
    s = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    by_hand = -sum((s[i, i] - s[i].logsumexp(0)) / 10 + (s[i, i] - s[:, i].logsumexp(0)) / 10 for i in range(5))
    assert contrastive_loss(s).item() == pytest.approx(float(by_hand))


def test_training_finds_a_shared_cause_and_generalises(generator: torch.Generator) -> None:
    cause = torch.randn(400, 6, generator=generator)
    images = cause @ torch.randn(6, 40, generator=generator) + 0.1 * torch.randn(400, 40, generator=generator)
    texts = cause @ torch.randn(6, 30, generator=generator) + 0.1 * torch.randn(400, 30, generator=generator)
    model = train_two_tower(images[:340], texts[:340], CONFIG, seed=0)
    ranks = retrieval_ranks(model.image(images[340:]), model.text(texts[340:]))
    assert recall_at(ranks, 1) > 0.8


def test_training_is_a_function_of_its_seed_and_leaves_the_global_generator_alone() -> None:
    images, texts = torch.randn(2, 80, 10, generator=torch.Generator().manual_seed(1))
    config = RetrievalConfig(4, 5, 16, 1e-2, 0.0, 0.2)
    before = torch.get_rng_state()
    first, second = (train_two_tower(images, texts, config, seed=3) for _ in range(2))
    assert torch.equal(first.image.linear.weight, second.image.linear.weight)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(
        first.image.linear.weight, train_two_tower(images, texts, config, seed=4).image.linear.weight
    )
