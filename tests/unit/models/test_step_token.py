"""The token of a step: where it stands, that it says which step, and that a transformer can hear it."""

import pytest
import torch

from components.models.config import DiTConfig
from components.models.denoiser import Denoiser, pad_states
from components.models.step_token import step_token, with_step
from components.models.transformer import build_transformer


def condition():
    random = torch.Generator().manual_seed(0)
    return pad_states([torch.randn(count, 10, generator=random) for count in (3, 1, 5)])


def test_it_stands_behind_each_text_and_leaves_the_rest_alone():
    before = condition()
    after = with_step(before, 2)
    assert after.lengths.tolist() == [4, 2, 6]
    for row, length in enumerate(before.lengths.tolist()):
        assert torch.equal(after.states[row, :length], before.states[row, :length])
        assert torch.equal(after.states[row, length], step_token(2, before.states))
        assert not after.states[row, length + 1 :].any()
    assert before.lengths.tolist() == [3, 1, 5]


def test_steps_have_tokens_that_hardly_overlap():
    wide = torch.zeros(1, 1, 400)
    tokens = torch.stack([step_token(step, wide) for step in range(8)])
    torch.testing.assert_close(tokens @ tokens.T / 400, torch.eye(8), rtol=0, atol=0.2)
    assert torch.equal(step_token(3, wide), step_token(3, wide))


@pytest.mark.parametrize("other", [1, 7])
def test_a_transformer_answers_otherwise_for_another_step(other):
    torch.manual_seed(0)
    network = build_transformer(DiTConfig(24, 2, 2, 48, (4, 4, 4), 256), 8, 10)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    x, t = torch.randn(3, 8, 2, 2), torch.rand(3)
    with torch.no_grad():
        first, second = (Denoiser(network)(x, t, with_step(condition(), step)) for step in (0, other))
    assert float((first - second).abs().mean()) > 0.01
