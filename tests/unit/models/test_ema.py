"""The average of weights against its closed form."""

import pytest
import torch

from components.models.ema import WeightAverage, decay_at


def test_the_average_is_its_closed_form():
    history = torch.randn(40, 2, 3, generator=torch.Generator().manual_seed(0)).double()
    average = WeightAverage({"weight": history[0]}, decay=0.8)
    for weight in history[1:]:
        average.update({"weight": weight})
    # sum over k of (1 - d_k) w_k times the product of all later d_j; the start keeps the product of all.
    decays = torch.tensor([decay_at(n, 0.8) for n in range(1, 40)], dtype=torch.float64)
    later = decays.flip(0).cumprod(0).flip(0)
    shares = torch.cat([later[:1], (1 - decays) * torch.cat([later[1:], torch.ones(1)])])
    expected = torch.einsum("k,kij->ij", shares, history)
    assert float(shares.sum()) == pytest.approx(1)
    torch.testing.assert_close(average.weights["weight"].double(), expected, rtol=1e-5, atol=1e-6)


def test_a_constant_weight_is_its_own_average():
    weights = {"weight": torch.randn(3, 2, generator=torch.Generator().manual_seed(0))}
    average = WeightAverage(weights, decay=0.99)
    for _ in range(50):
        average.update(weights)
    torch.testing.assert_close(average.weights["weight"], weights["weight"], rtol=0, atol=1e-7)


def test_parts_average_as_the_whole_does():
    draws = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    whole = WeightAverage({"w": draws[0]}, decay=0.5)
    parts = WeightAverage({"a": draws[0, :3], "b": draws[0, 3:]}, decay=0.5)
    for draw in draws[1:]:
        whole.update({"w": draw})
        parts.update({"a": draw[:3], "b": draw[3:]})
    assert torch.equal(torch.cat([parts.weights["a"], parts.weights["b"]]), whole.weights["w"])


def test_decay_rises_to_its_limit():
    decays = [decay_at(n, 0.9) for n in range(200)]
    assert decays == sorted(decays)
    assert decays[0] == 0
    assert decays[81] == 0.9 == decays[199]


def test_the_average_is_float32_and_a_copy():
    weights = {"weight": torch.ones(3).bfloat16(), "bias": torch.ones(2)}
    average = WeightAverage(weights, decay=0.5)
    weights["bias"].zero_()
    assert {value.dtype for value in average.weights.values()} == {torch.float32}
    assert torch.equal(average.weights["bias"], torch.ones(2))


def test_loaded_it_continues():
    draws = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    average = WeightAverage({"w": draws[0]}, decay=0.5)
    average.update({"w": draws[1]})
    other = WeightAverage({"w": draws[2]}, decay=0.5)
    other.load(average.weights, average.num_updates)
    for each in (average, other):
        each.update({"w": draws[2]})
    assert torch.equal(average.weights["w"], other.weights["w"])


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_never_forgets_is_refused(decay):
    with pytest.raises(ValueError, match="decay must be"):
        WeightAverage({}, decay)
