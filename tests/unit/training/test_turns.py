"""Networks that take turns in one optimiser, against optimisers of their own and schedules that were counted."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from tiny_distillation import DISTILL
from torch import nn

from components.training.config import OptimiserConfig
from components.training.schedule import learning_rate_factor
from components.training.turns import build_turn_optimiser, turn_rate

STUDENT = OptimiserConfig(1e-2, (0.0, 0.9), 0.1, 1.0, 0, 0.0, "linear")
FAKE = OptimiserConfig(3e-2, (0.5, 0.99), 0.0, 1.0, 0, 0.0, "linear")


def network(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(3, 2)


def give_gradients(model, step):
    for number, weight in enumerate(model.parameters()):
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(10 * step + number))


def test_taking_turns_is_what_two_optimisers_do():
    together, apart = ([network(0), network(1)] for _ in range(2))
    both = build_turn_optimiser(
        {"student": together[0].parameters(), "fake": together[1].parameters()}, {"student": STUDENT, "fake": FAKE}
    )
    own = [
        torch.optim.AdamW(
            [
                {"params": [model.weight], "weight_decay": config.weight_decay},
                {"params": [model.bias], "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=config.betas,
        )
        for model, config in zip(apart, (STUDENT, FAKE), strict=True)
    ]
    for step, number in enumerate([1, 1, 0, 1, 0, 0, 1]):
        for model in (together[number], apart[number]):
            give_gradients(model, step)
        for group in both.param_groups:
            group["idle"] = group["part"] != ("student", "fake")[number]
        before = [weight.clone() for weight in together[1 - number].parameters()]
        both.step()
        own[number].step()
        # The gradients of the turn before are still there, as with DeepSpeed: they must not count.
        assert all(torch.equal(a, b) for a, b in zip(before, together[1 - number].parameters(), strict=True))
    for ours, theirs in zip(together, apart, strict=True):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)
    counts = {group["part"]: int(both.state[group["params"][0]]["step"]) for group in both.param_groups}
    assert counts == {"student": 3, "fake": 4}


def test_all_groups_are_there_again_after_a_step_that_failed(monkeypatch):
    model = network(0)
    optimiser = build_turn_optimiser({"student": model.parameters()}, {"student": STUDENT})
    groups = optimiser.param_groups
    groups[0]["idle"] = True

    def fail(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(torch.optim.AdamW, "step", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        optimiser.step()
    assert optimiser.param_groups is groups


@pytest.mark.parametrize("cold_start", [DISTILL.cold_start, None])
@pytest.mark.parametrize(("fake_updates", "num_student_updates"), [(1, 3), (5, 2)])
def test_turns_are_counted_as_one_would_on_fingers(cold_start, fake_updates, num_student_updates):
    config = replace(DISTILL, cold_start=cold_start, fake_updates=fake_updates, num_student_updates=num_student_updates)
    counted: Counter[str] = Counter()
    for step in range(config.num_steps):
        assert config.updates_before(step) == counted[config.turn(step)]
        assert config.student_updates_before(step) == counted["student"]
        counted[config.turn(step)] += 1
    assert counted["student"] == config.student_updates_before(config.num_steps) == num_student_updates
    assert counted["fake"] == fake_updates * num_student_updates
    assert counted["cold"] == (cold_start.num_updates if cold_start else 0)
    assert config.turn(config.num_steps - 1) == "student"


def test_each_network_has_the_rate_of_its_own_updates():
    student = replace(DISTILL.student_optimiser, warmup_steps=2, decay_frac=0.5)
    config = replace(DISTILL, student_optimiser=student, num_student_updates=6)
    rates: dict[str, list[float]] = {"cold": [], "fake": [], "student": []}
    for step in range(config.num_steps):
        rates[config.turn(step)].append(turn_rate(config, step))
    assert rates["cold"] == [config.cold_start.learning_rate] * config.num_cold_steps
    assert rates["student"] == [student.learning_rate * learning_rate_factor(n, 6, student) for n in range(6)]
    assert rates["student"][0] < rates["student"][2] > rates["student"][-1]
    assert set(rates["fake"]) == {config.fake_optimiser.learning_rate}
