"""The next token's loss against torch's own, and over parts of a step of different sizes."""

import math

import pytest
import torch
from torch.nn import functional

from components.objectives.next_token import next_token


def test_alone_it_is_the_mean_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits, said = torch.randn(7, 11, generator=generator), torch.randint(11, (7,), generator=generator)
    torch.testing.assert_close(next_token(logits, said, 7.0).total, functional.cross_entropy(logits, said))


def test_the_mean_of_unequal_parts_is_the_mean_over_the_whole_step():
    generator = torch.Generator().manual_seed(0)
    logits, said = torch.randn(10, 5, generator=generator), torch.randint(5, (10,), generator=generator)
    parts = [next_token(logits[rows], said[rows], 10 / 2).total for rows in (slice(0, 3), slice(3, 10))]
    torch.testing.assert_close(sum(parts) / 2, functional.cross_entropy(logits, said))


def test_the_gradient_is_probability_minus_one_at_what_was_said():
    logits = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    said = torch.tensor([1, 5, 0, 2])
    assert torch.autograd.gradcheck(lambda x: next_token(x, said, 4.0).total, [logits])
    next_token(logits, said, 4.0).total.backward()
    expected = (logits.softmax(-1) - functional.one_hot(said, 6)) / 4
    torch.testing.assert_close(logits.grad, expected.detach())


def test_knowing_nothing_costs_the_logarithm_of_the_vocabulary():
    loss = next_token(torch.zeros(3, 64), torch.tensor([1, 2, 3]), 3.0).total
    assert float(loss) == pytest.approx(math.log(64))
