"""The trigram against Kneser-Ney by hand, and as a distribution."""

import math

import pytest

from components.enhancer.ngram import Trigram

TEXTS = [[1, 2, 3, 1, 2, 4], [1, 2, 3, 5], [4, 2, 3]]
SIZE = 7


@pytest.mark.parametrize("before", [[], [1], [1, 2], [2, 3], [6, 6], [4, 2], [9, 1]])
def test_probabilities_sum_to_one(before):
    model = Trigram(TEXTS, SIZE)
    assert sum(model.probability(token, before) for token in range(SIZE)) == pytest.approx(1)


def test_it_is_kneser_ney_by_hand():
    # Trigrams: 123 twice; 231, 312, 124, 235, 423 once. So bigrams by contexts: 23 two (123, 423); 31, 12, 24, 35 one;
    # and unigrams: 3 one (23), 1, 2, 4, 5 one each. Discounts n1 / (n1 + 2 n2): 5/7, 4/6, 1.
    model = Trigram(TEXTS, SIZE)
    uniform = 1 / SIZE
    one = (1 - 1 + 1 * 5 * uniform) / 5
    two = (2 - 4 / 6 + 4 / 6 * 2 * one) / 3
    three = (2 - 5 / 7 + 5 / 7 * 2 * two) / 3
    assert model.probability(3, [1, 2]) == pytest.approx(three)
    assert model.probability(3, [6, 2]) == pytest.approx(two)
    assert model.probability(3, [6]) == pytest.approx(one)


def test_perplexity_is_that_of_the_second_parts():
    model = Trigram(TEXTS, SIZE)
    found = model.perplexity([([1, 2], [3, 1])])
    by_hand = -(math.log(model.probability(3, [1, 2])) + math.log(model.probability(1, [2, 3]))) / 2
    assert found == pytest.approx(math.exp(by_hand))
    assert found < SIZE
    assert Trigram([], SIZE).perplexity([([], [1, 2])]) == pytest.approx(SIZE)
