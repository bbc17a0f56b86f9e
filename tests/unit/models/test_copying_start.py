"""Before any training, a network that starts copying says what followed the present token the last time."""

import pytest
import torch

from components.models.copying_start import start_copying
from components.models.language_config import LanguageShape
from components.models.language_model import build_language_model

SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
AGAIN = slice(40, 60)


def network(heads: int, keys: int, layers: int = 2, width: int = 128, head_dim: int = 64):
    shape = LanguageShape(600, width, layers, heads, keys, head_dim, 64, 1e6, 256, 0.05)
    return build_language_model(shape, 0, special=SPECIAL)


def repeating() -> torch.Tensor:
    tokens = torch.randint(8, 600, (16, 60), generator=torch.Generator().manual_seed(1))
    tokens[:, AGAIN] = tokens[:, 10:30]
    return tokens


@torch.no_grad()
@pytest.mark.parametrize("seed", [0, 1])
def test_it_looks_one_back_then_for_the_same_word(seed):
    made = network(2, 2)
    start_copying(made, torch.Generator().manual_seed(seed))
    made.set_attn_implementation("eager")
    first, second = made(repeating(), output_attentions=True).attentions
    assert float(first[:, 0].diagonal(-1, 1, 2).mean()) > 0.99
    # The second time, place 41 ... 59 look at what followed the first time: 12 ... 30, of 42 ... 60 places to choose.
    assert float(second[:, 0, 41:60, 12:31].diagonal(0, 1, 2).mean()) > 0.3


def test_it_finds_the_word_that_followed_likelier_than_chance_would():
    tokens, ranks = repeating(), []
    for starts in (False, True):
        made = network(2, 2)
        if starts:
            start_copying(made, torch.Generator().manual_seed(0))
        logits = made(tokens).logits[:, 41:59]
        right = logits.gather(-1, tokens[:, 42:60, None])
        ranks.append(float((logits > right).float().mean()))
    assert ranks[0] > 0.3
    assert ranks[1] < 0.02


def test_the_same_generator_gives_the_same_start():
    one, two = network(2, 2), network(2, 2)
    for made in (one, two):
        start_copying(made, torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_a_network_that_cannot_start_so_is_refused():
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match="two layers or more"):
        start_copying(network(2, 2, layers=1), generator)
    with pytest.raises(ValueError, match="a key for every head"):
        start_copying(network(2, 1), generator)
    with pytest.raises(ValueError, match="must fit into the heads"):
        start_copying(network(1, 1, head_dim=32), generator)
