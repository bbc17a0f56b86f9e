"""Retrieval: scores as a brute-force formula gives them, planted matches first, likeness finds what words do not."""

import math

import numpy as np
import pytest

from components.data.top_down.retrieval import WordIndex, likeness, tokens

TEXTS = (
    "a red apple, Noto style",
    "two apples and a pear",
    "a pear tree",
    "红苹果，水果",
    "a car",
    "apple apple apple",
)


def brute_force(query: str, texts: tuple[str, ...]) -> list[float]:
    documents = [tokens(text) for text in texts]
    mean = sum(map(len, documents)) / len(documents)
    words = dict.fromkeys(tokens(query))
    scores = []
    for document in documents:
        score = 0.0
        for word in words:
            holding = sum(word in other for other in documents)
            idf = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
            times = document.count(word)
            score += idf * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * len(document) / mean))
        scores.append(score if all(word in document for word in words) else 0.0)
    return scores


@pytest.mark.parametrize("query", ["apple", "red apple", "pear", "tree pear", "苹果", "aeroplane", "", "!!"])
def test_scores_are_those_of_the_formula(query: str):
    assert WordIndex(TEXTS).scores(query) == pytest.approx(brute_force(query, TEXTS))


def test_plurals_match_and_chinese_matches_by_neighbours():
    index = WordIndex(TEXTS)
    assert np.flatnonzero(index.scores("apples")).tolist() == [0, 1, 5]
    assert np.flatnonzero(index.scores("苹果")).tolist() == [3]
    assert np.flatnonzero(index.best(["苹果", "car"])).tolist() == [3, 4]
    assert index.best(["apple"]).max() == 1
    assert not index.best(["nothing like it"]).any()
    assert WordIndex([]).best(["x"]).shape == (0,)


def test_likeness_finds_the_cluster_of_the_word_matches():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 24)) * 3
    kinds = rng.integers(0, 5, 400)
    features = centres[kinds] + rng.normal(size=(400, 24))
    named = (kinds == 2) & (rng.random(400) < 0.3)
    like = likeness(features, named)
    unnamed = ~named
    first = np.argsort(-like[unnamed])[: int((kinds[unnamed] == 2).sum())]
    assert (kinds[unnamed][first] == 2).mean() > 0.99
    assert np.abs(like).max() <= 1 + 1e-9


def test_without_a_word_match_nothing_is_alike_and_one_match_has_no_likeness_of_its_own():
    features = np.random.default_rng(1).normal(size=(9, 4))
    assert not likeness(features, np.zeros(9, bool)).any()
    one = likeness(features, np.arange(9) == 3)
    assert one[3] == 0
    assert np.count_nonzero(one) == 8
