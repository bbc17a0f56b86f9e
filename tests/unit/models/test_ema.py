"""The average of weights against its closed form."""

import pytest
import torch
from torch import nn

from components.models.ema import WeightAverage, decay_at


def test_the_average_is_its_closed_form():
    module = nn.Linear(3, 2, bias=False).double()
    history = torch.randn(40, 2, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        module.weight.copy_(history[0])
    average = WeightAverage(module, decay=0.8)
    for weight in history[1:]:
        with torch.no_grad():
            module.weight.copy_(weight)
        average.update(module)
    # sum over k of (1 - d_k) w_k times the product of all later d_j; the start keeps the product of all.
    decays = torch.tensor([decay_at(n, 0.8) for n in range(1, 40)], dtype=torch.float64)
    later = decays.flip(0).cumprod(0).flip(0)
    shares = torch.cat([later[:1], (1 - decays) * torch.cat([later[1:], torch.ones(1)])])
    expected = torch.einsum("k,kij->ij", shares, history.double())
    assert float(shares.sum()) == pytest.approx(1)
    torch.testing.assert_close(average.weights["weight"].double(), expected, rtol=1e-5, atol=1e-6)


def test_a_constant_weight_is_its_own_average():
    module = nn.Linear(3, 2)
    average = WeightAverage(module, decay=0.99)
    for _ in range(50):
        average.update(module)
    torch.testing.assert_close(average.weights["weight"], module.weight.detach(), rtol=0, atol=1e-7)


def test_decay_rises_to_its_limit():
    decays = [decay_at(n, 0.9) for n in range(200)]
    assert decays == sorted(decays)
    assert decays[0] == 0
    assert decays[81] == 0.9 == decays[199]


def test_the_average_is_float32_and_leaves_the_module_alone():
    module = nn.Linear(3, 2).bfloat16()
    before = module.weight.detach().clone()
    average = WeightAverage(module, decay=0.5)
    average.update(module)
    assert average.weights["weight"].dtype == torch.float32
    assert torch.equal(module.weight, before)


def test_copied_and_loaded_it_continues():
    torch.manual_seed(0)
    module, target = nn.Linear(3, 2), nn.Linear(3, 2)
    average = WeightAverage(module, decay=0.5)
    average.update(module)
    average.copy_to(target)
    assert torch.equal(target.weight, average.weights["weight"])
    other = WeightAverage(target, decay=0.5)
    other.load(average.weights, average.num_updates)
    for each in (average, other):
        each.update(module)
    assert torch.equal(average.weights["weight"], other.weights["weight"])


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_never_forgets_is_refused(decay):
    with pytest.raises(ValueError, match="decay must be"):
        WeightAverage(nn.Linear(1, 1), decay)
