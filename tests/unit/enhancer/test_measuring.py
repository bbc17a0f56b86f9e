"""The figures of an enhancer whose answers are known."""

import json

import pytest

from components.enhancer.examples import Pair
from components.enhancer.measuring import answer, measured

WISHES = ("two red owls", "a fox with no text", "一只狐狸", "a blue pear")
GOOD = {
    "two red owls": "A picture of two red owls in a wide and quiet composition",
    "a fox with no text": "A picture of a fox with no text anywhere in the picture at all",
    "一只狐狸": "一幅画，画面中有一只狐狸，构图是方形的，四周留有均匀的空白",
}
PAIRS = [Pair(wish, 64, 32 * (1 + number % 2), "never read") for number, wish in enumerate(WISHES)]


def write_many(messages, seed):
    """Good at once, at the second try, or never: the pear becomes green, the owls are three at first."""
    told = []
    for message in messages:
        wish = json.loads(message)["prompt"]
        if wish == "two red owls" and seed == 5:
            told.append("A picture of three red owls in a wide and quiet composition")
        else:
            told.append(GOOD.get(wish, "A picture of a green pear in a wide composition"))
    return told


def test_guards_and_first_answers_are_told_apart():
    told, first = answer(PAIRS, write_many, 5)
    assert [one.attempts for one in told] == [2, 1, 1, 2]
    assert first == write_many([pair.message for pair in PAIRS], 5)
    found = measured(PAIRS, told, first)
    assert found.intent_kept == found.right_language == 1.0
    assert found.intent_kept_unguarded == 0.5
    assert found.fallback_share == 0.25
    english = (12 + 14 + 3) / (3 + 5 + 3)
    chinese = len(GOOD["一只狐狸"]) / len("一只狐狸")
    assert found.length_ratio == pytest.approx((english + chinese) / 2)


def test_every_message_is_asked_once_at_first():
    asked = []

    def counting(messages, seed):
        asked.extend((message, seed) for message in messages)
        return write_many(messages, seed)

    answer(PAIRS, counting, 5)
    assert len(set(asked)) == len(asked) == 4 + 2
