"""Guidance: exact where it must be, linear everywhere."""

import pytest
import torch

from components.samplers.guidance import combine, guided_velocity


@pytest.fixture
def velocities() -> tuple[torch.Tensor, torch.Tensor]:
    pair = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(2))
    return pair[0], pair[1]


def test_scale_one_is_exactly_the_conditional_model(velocities):
    uncond, cond = velocities
    asked: list[str] = []

    def model(x: torch.Tensor, t: torch.Tensor, condition: str) -> torch.Tensor:
        asked.append(condition)
        return {"cond": cond, "uncond": uncond}[condition]

    v = guided_velocity(model, "cond", "uncond", 1.0)(torch.zeros(5, 3), torch.zeros(5))
    assert torch.equal(v, cond)
    assert asked == ["cond"]


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0, 7.5])
def test_the_combination_is_linear_in_the_scale(velocities, scale):
    uncond, cond = velocities
    expected = (1 - scale) * uncond + scale * cond
    torch.testing.assert_close(combine(uncond, cond, scale), expected, rtol=1e-5, atol=1e-5)


def test_equal_predictions_are_not_changed_at_any_scale(velocities):
    uncond, _ = velocities
    assert torch.equal(combine(uncond, uncond, 9.0), uncond)


def test_guided_velocity_calls_both_and_combines(velocities):
    uncond, cond = velocities
    v = guided_velocity(lambda x, t, c: c, cond, uncond, 4.0)(torch.zeros(5, 3), torch.zeros(5))
    assert torch.equal(v, combine(uncond, cond, 4.0))
