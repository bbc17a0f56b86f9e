import numpy as np
import pytest
import torch
from tiny_losses import ANCHORED

from components.evaluation.health import CHARTS, Chart, health_panel
from components.objectives.preference import PairVelocities, outcome_of
from components.training.preference_watch import HeldOutErrors, measures_of


def marks(image: np.ndarray) -> int:
    """Pixels with a strong colour: those of lines and of their legends."""
    levels = image.astype(int)
    return int(((levels.max(axis=2) - levels.min(axis=2)) > 40).sum())


@pytest.mark.parametrize(
    ("chart", "name"),
    [pytest.param(chart, name, id=name) for chart in CHARTS for name in chart.measures],
)
def test_every_measure_is_drawn(chart: Chart, name: str) -> None:
    assert marks(health_panel({name: [(0, 0.2), (64, 0.9)]}, [chart])) > 50


def test_what_is_drawn_is_what_preference_training_measures() -> None:
    velocities = PairVelocities(*torch.randn(3, 2, 4, 3, 2, 2, generator=torch.Generator().manual_seed(0)))
    told = outcome_of(velocities, torch.ones(4, dtype=torch.bool), ANCHORED, 0.05).measures
    errors = HeldOutErrors(*np.ones((4, 6)), t=np.linspace(0.1, 1, 6), pair=np.arange(6))
    known = {f"train/{name}" for name in (*told, "gradient_norm")} | {f"health/{name}" for name in measures_of(errors)}
    assert {name for chart in CHARTS for name in chart.measures} <= known


def test_no_measure_is_needed() -> None:
    empty = health_panel({"somebody_elses": [(0, 0.2), (64, 0.9)]})
    assert empty.shape == (580, 1200, 3)
    assert marks(empty) == 0


def test_the_same_history_gives_the_same_picture() -> None:
    history = {name: [(step, step / 100) for step in range(0, 100, 10)] for name in CHARTS[0].measures}
    np.testing.assert_array_equal(health_panel(history, CHARTS[:1]), health_panel(history, CHARTS[:1]))


def test_what_is_not_finite_is_left_out() -> None:
    charts = [Chart("drift", {"drift": "training"})]
    whole = health_panel({"drift": [(0, 1.0), (1, 2.0)]}, charts)
    broken = health_panel({"drift": [(0, 1.0), (1, 2.0), (2, float("nan")), (3, float("inf"))]}, charts)
    np.testing.assert_array_equal(whole, broken)
    assert marks(health_panel({"drift": [(0, float("nan"))]}, charts)) == 0


@pytest.mark.parametrize("direction", [1, -1])
def test_a_line_runs_where_its_values_go(direction: int) -> None:
    chart = [Chart("error", {"e": "preferred"}, share=True)]
    image = health_panel({"e": [(step, 0.5 + direction * step / 40) for step in range(20)]}, chart).astype(int)
    coloured = (image.max(axis=2) - image.min(axis=2)) > 40
    heights = np.array([np.nonzero(column)[0].mean() for column in coloured[40:, :400].T if column.any()])
    assert (heights[5] - heights[-30]) * direction > 0
