"""Learning rate and optimiser."""

import math

import pytest
import torch
from torch import nn

from components.training.config import OptimiserConfig
from components.training.schedule import build_optimiser, learning_rate_factor

CONFIG = OptimiserConfig(1e-3, (0.9, 0.99), 0.1, 1.0, warmup_steps=10, decay_frac=0.25, decay="linear")


def factors(num_steps: int, config: OptimiserConfig = CONFIG) -> list[float]:
    return [learning_rate_factor(step, num_steps, config) for step in range(num_steps)]


def test_up_flat_down():
    curve = factors(100)
    assert curve[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert curve[10:75] == [1.0] * 65
    assert curve[75:] == pytest.approx([(100 - step) / 25 for step in range(75, 100)])
    # The update after the last would have rate 0.
    assert learning_rate_factor(100, 100, CONFIG) == 0


def test_without_warm_up_and_decay_it_is_constant():
    flat = OptimiserConfig(1e-3, (0.9, 0.99), 0.1, 1.0, warmup_steps=0, decay_frac=0.0, decay="linear")
    assert factors(20, flat) == [1.0] * 20


def test_the_cosine_goes_down_as_a_cosine_does():
    whole = OptimiserConfig(1e-3, (0.9, 0.99), 0.1, 1.0, warmup_steps=0, decay_frac=1.0, decay="cosine")
    curve = factors(40, whole)
    assert curve == pytest.approx([(1 + math.cos(math.pi * step / 40)) / 2 for step in range(40)])
    late = OptimiserConfig(1e-3, (0.9, 0.99), 0.1, 1.0, warmup_steps=4, decay_frac=0.5, decay="cosine")
    assert factors(40, late)[4:20] == [1.0] * 16
    assert factors(40, late)[30] == pytest.approx(0.5)


def test_a_run_shorter_than_its_warm_up_stays_below_one():
    assert max(factors(5)) <= 0.5


def test_only_matrices_decay():
    module = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    groups = build_optimiser(module, CONFIG).param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert [len(group["params"]) for group in groups] == [1, 3]


def test_a_frozen_weight_is_left_out():
    module = nn.Linear(4, 4)
    module.bias.requires_grad_(False)
    assert sum(len(group["params"]) for group in build_optimiser(module, CONFIG).param_groups) == 1


def test_one_update_is_adam_s_with_decoupled_decay():
    weight = nn.Parameter(torch.tensor([[2.0]]))
    module = nn.ParameterList([weight])
    optimiser = build_optimiser(module, CONFIG)
    weight.grad = torch.tensor([[0.5]])
    optimiser.step()
    # The first step of Adam has size lr whatever the gradient; decay takes lr * 0.1 of the weight.
    assert float(weight.detach()) == pytest.approx(2.0 * (1 - 1e-3 * 0.1) - 1e-3, rel=1e-6)


def test_a_decay_longer_than_the_run_is_refused():
    with pytest.raises(ValueError, match=r"got 1\.5"):
        OptimiserConfig(1e-3, (0.9, 0.99), 0.1, 1.0, warmup_steps=10, decay_frac=1.5, decay="linear")
