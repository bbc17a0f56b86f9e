"""A small tokenizer, trained on a few pairs in two languages."""

import pytest
from transformers import PreTrainedTokenizerFast

from components.enhancer.examples import Pair
from components.enhancer.tokenizer import train_tokenizer

PAIRS = (
    Pair("red fox, Noto style", 64, 64, "A picture of a red fox drawn in Noto style. Square composition."),
    Pair("two owls that say “OPEN 24”", 1024, 768, "A picture of two owls. It says “OPEN 24”. Wide composition."),
    Pair("Subject: book - red", 768, 1024, "A picture of a book - red. Tall composition."),
    Pair("一只红色的狐狸，没有文字", 64, 64, "一幅红色的狐狸图画。画面中没有文字。方形构图。"),
)


@pytest.fixture(scope="session")
def pairs() -> tuple[Pair, ...]:
    return PAIRS


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer([text for pair in PAIRS for text in (pair.message, pair.description)] * 4, 420, 24)
