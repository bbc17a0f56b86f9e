import pytest
import torch

from components.models.diffusers_layout import exported_time_grid
from components.samplers.exported_grid import check_grid
from components.samplers.time_grid import shifted_time_grid


@pytest.mark.parametrize("shift", [0.5, 1.0, 1.5, 3.0, 7.0])
@pytest.mark.parametrize("num_steps", [1, 4, 8, 50])
def test_the_grid_that_is_trained_on_is_the_exported_one(num_steps: int, shift: float) -> None:
    check_grid(num_steps, shift)
    torch.testing.assert_close(exported_time_grid(num_steps, shift), shifted_time_grid(num_steps, shift))


def test_the_eight_steps_at_shift_three_are_those_of_the_formula() -> None:
    expected = [3 * u / (1 + 2 * u) for u in (1 - i / 8 for i in range(9))]
    assert exported_time_grid(8, 3.0).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "grid",
    [
        shifted_time_grid(8, 2.0),
        shifted_time_grid(7, 3.0),
        torch.linspace(1, 0, 9),
        shifted_time_grid(8, 3.0) + 1e-4,
        torch.full((9,), torch.nan),
    ],
)
def test_any_other_grid_is_refused_in_one_line(grid: torch.Tensor) -> None:
    with pytest.raises(
        ValueError, match=r"is not the one of the exported scheduler with 8 steps and shift 3\.0"
    ) as told:
        check_grid(8, 3.0, grid)
    assert "\n" not in str(told.value)
