"""Pairs of wish and description as tokens, and many of them packed into rows of one length.

A row begins with the system message, which stands once for all its examples. Only answers are learned: the
description and the end of the text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from components.enhancer.template import PREFIX, put, user_message
from components.enhancer.tokenizer import ids_of, special_ids
from components.models.language_model import FILLING, SHARED, TokenRows


@dataclass(frozen=True)
class Pair:
    """A wish for a picture of that size, and the description that is wanted for it."""

    wish: str
    width: int
    height: int
    description: str

    @property
    def message(self) -> str:
        """The wish as the model is told it."""
        return user_message(self.wish, self.width, self.height)


@dataclass(frozen=True)
class Example:
    """A pair as tokens, without what stands before every message; the answer ends with the end of the text."""

    question: list[int]
    answer: list[int]

    def __len__(self) -> int:
        return len(self.question) + len(self.answer)


def examples_of(tokenizer: PreTrainedTokenizerBase, pairs: Iterable[Pair]) -> list[Example]:
    """The pairs in tokens."""
    end = [special_ids(tokenizer)["eos_token_id"]]
    return [Example(ids_of(tokenizer, put(pair.message)), ids_of(tokenizer, pair.description) + end) for pair in pairs]


def pack(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Which examples share a row of `room` tokens: each goes into the first row that still has room for it.

    ValueError for one that fits into no row.
    """
    rows, left = list[list[int]](), np.zeros(len(lengths), np.int64)
    for number, length in enumerate(lengths):
        if length > room:
            raise ValueError(f"example {number} has {length} tokens and a row room for {room}; raise max_tokens")
        row = int(np.argmax(left[: len(rows) + 1] >= length)) if rows else 0
        if row == len(rows) or left[row] < length:
            row = len(rows)
            rows.append([])
            left[row] = room
        rows[row].append(number)
        left[row] -= length
    return rows


def packed(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], max_tokens: int
) -> tuple[TokenRows, list[list[int]]]:
    """Rows of `max_tokens`, and the examples of each."""
    prefix = ids_of(tokenizer, PREFIX)
    places = pack([len(example) for example in examples], max_tokens - len(prefix))
    shape = (len(places), max_tokens)
    tokens, positions = np.full(shape, special_ids(tokenizer)["pad_token_id"]), np.zeros(shape, np.int64)
    texts, is_answer = np.full(shape, FILLING), np.zeros(shape, bool)
    tokens[:, : len(prefix)], positions[:, : len(prefix)] = prefix, np.arange(len(prefix))
    texts[:, : len(prefix)] = SHARED
    for row, numbers in enumerate(places):
        start = len(prefix)
        for text, example in enumerate((examples[number] for number in numbers), start=1):
            answer, stop = start + len(example.question), start + len(example)
            tokens[row, start:stop] = example.question + example.answer
            positions[row, start:stop] = np.arange(len(prefix), len(prefix) + len(example))
            texts[row, start:stop] = text
            is_answer[row, answer:stop] = True
            start = stop
    return TokenRows(*(torch.from_numpy(part) for part in (tokens, positions, texts, is_answer))), places
