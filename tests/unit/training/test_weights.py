"""The weights of one process, where masters, live and whole ones are the same; the sharded ones have two processes."""

import pytest
import torch
from torch import nn

from components.training.weights import full_weights, masters, swapped, trained, write_full


@pytest.fixture
def module() -> nn.Module:
    module = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    module[0].bias.requires_grad_(False)
    return module


def test_only_what_trains_has_masters_but_all_is_gathered(module):
    assert set(masters(module)) == set(trained(module)) == {"0.weight", "1.weight", "1.bias"}
    assert set(full_weights(module)) == set(dict(module.named_parameters()))


def test_gathered_weights_are_copies(module):
    before = full_weights(module)
    with torch.no_grad():
        module[0].weight.zero_()
    assert float(before["0.weight"].abs().min()) > 0


def test_swapped_weights_are_there_for_the_block_only_even_if_it_fails(module):
    before = full_weights(module)
    others = {name: torch.full_like(part, 0.25) for name, part in masters(module).items()}
    inside: dict[str, torch.Tensor] = {}

    def fail() -> None:
        with swapped(module, others):
            inside.update(full_weights(module))
            raise RuntimeError("within")

    with pytest.raises(RuntimeError, match="within"):
        fail()
    assert inside
    for name, value in inside.items():
        assert torch.equal(value, others.get(name, before[name]))
    for name, value in full_weights(module).items():
        assert torch.equal(value, before[name])


def test_written_whole_they_are_what_was_gathered(module):
    before = full_weights(module)
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(1.0)
    write_full(module, before)
    after = full_weights(module)
    assert all(torch.equal(after[name], before[name]) for name in trained(module))
    assert torch.equal(after["0.bias"], before["0.bias"] + 1.0)
