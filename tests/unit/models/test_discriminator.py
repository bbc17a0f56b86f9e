"""The head on a frozen teacher's features: what it sees, what it leaves alone, and that it can tell."""

import pytest
import torch
from torch.nn import functional

from components.models.config import DiTConfig
from components.models.denoiser import Denoiser, TextCondition
from components.models.discriminator import FeatureHead, teacher_features
from components.models.transformer import build_transformer

CONFIG = DiTConfig(24, 3, 2, 48, (4, 4, 4), 256)


@pytest.fixture(scope="module")
def teacher():
    """A frozen transformer all of whose weights do something."""
    torch.manual_seed(0)
    network = build_transformer(CONFIG, 8, 10)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return Denoiser(network.requires_grad_(False).eval())


def inputs(count, seed=0, shift=0.0):
    random = torch.Generator().manual_seed(seed)
    x = shift + torch.randn(count, 8, 2, 3, generator=random)
    states = torch.randn(count, 5, 10, generator=random)
    return x, torch.rand(count, generator=random), TextCondition(states, torch.arange(count) % 5 + 1)


def has_hooks(module):
    return any(one._forward_hooks or one._forward_pre_hooks for one in module.modules())


def test_features_are_the_block_s_output_for_the_image_s_tokens(teacher):
    x, t, condition = inputs(4)
    outputs = []
    hook = teacher.transformer.layers[1].register_forward_hook(lambda *said: outputs.append(said[2]))
    with teacher_features(teacher.transformer, 1) as seen:
        v = teacher(x, t, condition)
        teacher(x[:2], t[:2], TextCondition(condition.states[:2], condition.lengths[:2]))
    hook.remove()
    assert [tuple(one.shape) for one in seen] == [(4, 6, 24), (2, 6, 24)]
    torch.testing.assert_close(seen[0], outputs[0][:6].transpose(0, 1), rtol=0, atol=0)
    torch.testing.assert_close(seen[1], seen[0][:2], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(teacher(x, t, condition), v, rtol=0, atol=0)


def test_hooks_are_gone_afterwards_even_if_it_fails_inside(teacher):
    with teacher_features(teacher.transformer, 2):
        assert has_hooks(teacher)
    assert not has_hooks(teacher)
    with pytest.raises(RuntimeError), teacher_features(teacher.transformer, 2):
        teacher(*inputs(2)[:2], TextCondition(torch.zeros(2, 1, 11), torch.ones(2, dtype=torch.long)))
    assert not has_hooks(teacher)


@pytest.mark.parametrize("block", [-1, 3])
def test_a_block_that_is_not_there_is_refused(teacher, block):
    with (
        pytest.raises(ValueError, match=rf"block {block} of the teacher; allowed: 0 to 2"),
        teacher_features(teacher.transformer, block),
    ):
        pass


def test_gradients_pass_through_the_teacher_and_leave_its_weights_alone(teacher):
    x, t, condition = inputs(3)
    x.requires_grad_()
    head = FeatureHead(24, 16)
    torch.nn.init.ones_(head.last.weight)
    with teacher_features(teacher.transformer, 1) as seen:
        teacher(x, t, condition)
    functional.softplus(-head(seen[0])).mean().backward()
    assert float(x.grad.abs().min()) > 0
    assert all(weight.grad is None for weight in teacher.parameters())
    assert all(weight.grad is not None for weight in head.parameters())


@pytest.mark.parametrize(("is_pooled", "count"), [(False, 6), (True, 1)])
def test_it_begins_undecided_and_does_not_look_at_the_features_size(is_pooled, count):
    torch.manual_seed(0)
    features, head = torch.randn(4, 6, 24), FeatureHead(24, 16, is_pooled=is_pooled)
    assert torch.equal(head(features), torch.zeros(4, count))
    torch.nn.init.normal_(head.last.weight)
    torch.testing.assert_close(head(1000 * features), head(features), rtol=1e-4, atol=1e-5)
    assert head(features.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("is_pooled", [False, True])
def test_it_learns_to_tell_two_distributions_apart(teacher, is_pooled):
    torch.manual_seed(0)
    head = FeatureHead(24, 32, is_pooled=is_pooled)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.02)

    def logits(shift, seed):
        with torch.no_grad(), teacher_features(teacher.transformer, 0) as seen:
            teacher(*inputs(64, seed, shift))
        return head(seen[0])

    for step in range(25):
        loss = functional.softplus(-logits(0.5, 2 * step)) + functional.softplus(logits(-0.5, 2 * step + 1))
        optimiser.zero_grad()
        loss.mean().backward()
        optimiser.step()
    right = torch.cat([logits(0.5, 1000).mean(dim=1) > 0, logits(-0.5, 1001).mean(dim=1) < 0])
    assert float(right.float().mean()) > 0.9
