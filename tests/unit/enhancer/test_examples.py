"""Pairs as packed rows: nothing is lost, nothing overlaps, and only answers are learned."""

import random

import pytest
import torch

from components.enhancer.examples import examples_of, pack, packed
from components.enhancer.template import PREFIX, put
from components.enhancer.tokenizer import ids_of
from components.models.language_model import FILLING, SHARED


def test_each_example_is_in_one_row_that_has_room_for_it():
    draw = random.Random(0)
    lengths = [draw.randint(1, 60) for _ in range(300)]
    rows = pack(lengths, 100)
    assert sorted(number for row in rows for number in row) == list(range(300))
    assert max(sum(lengths[number] for number in row) for row in rows) <= 100
    # First fit leaves at most one row half empty (Johnson et al. 1974 prove 17/10 of the best; here: twice the sum).
    assert sum(sum(lengths[number] for number in row) <= 50 for row in rows) <= 1


def test_an_example_longer_than_a_row_is_refused():
    with pytest.raises(ValueError, match="example 1 has 12 tokens"):
        pack([3, 12], 11)


def test_rows_say_what_the_pairs_say(tokenizer, pairs):
    examples = examples_of(tokenizer, pairs)
    prefix = ids_of(tokenizer, PREFIX)
    rows, places = packed(tokenizer, examples, len(prefix) + 130)
    assert (rows.texts[:, : len(prefix)] == SHARED).all()
    for row, numbers in enumerate(places):
        for text, number in enumerate(numbers, start=1):
            own, pair = rows.texts[row] == text, pairs[number]
            tokens = rows.tokens[row][own].tolist()
            assert tokens == [*ids_of(tokenizer, put(pair.message) + pair.description), tokenizer.eos_token_id]
            said = rows.tokens[row][own & rows.is_answer[row]].tolist()
            assert tokenizer.decode(said, skip_special_tokens=True) == pair.description
            expected = torch.arange(len(prefix), len(prefix) + len(tokens))
            assert torch.equal(rows.positions[row][own], expected)
    filling = rows.texts == FILLING
    assert (rows.tokens[filling] == tokenizer.pad_token_id).all()
    assert not rows.is_answer[filling].any()
