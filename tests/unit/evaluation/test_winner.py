import numpy as np
import pytest

from components.evaluation.comparison import Metric, Unit
from components.evaluation.winner import winner

N = 80


def metric(unit: Unit, **generated: np.ndarray) -> Metric:
    rows = {name: values[:, None] for name, values in generated.items()}
    first = next(iter(rows.values()))
    return Metric("k", "name", unit, "", lambda values: float(values.mean()), rows, first, first)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, N)


@pytest.mark.parametrize(("unit", "expected"), [("similarity", "dpo"), ("distance", "base")])
def test_a_model_that_is_better_than_every_other_wins(unit: Unit, expected: str) -> None:
    hard = noise(0)  # the same prompts are hard for all: leads far below the scores' own noise are seen
    found = metric(unit, base=hard - 0.2, sft=hard + 0.01 * noise(1), dpo=hard + 0.2 + 0.01 * noise(2))
    assert winner(found) == expected


def test_nobody_wins_within_the_noise_or_beside_an_equal() -> None:
    assert winner(metric("similarity", base=noise(3), sft=noise(4))) is None
    ahead = noise(5) + 5
    assert winner(metric("similarity", base=noise(6), sft=ahead, dpo=ahead)) is None
    assert winner(metric("similarity", base=noise(7))) is None


def test_of_equal_models_one_wins_by_chance_in_one_of_twenty_metrics_at_most() -> None:
    """Of 4 models that differ by nothing but noise; 5 % of 200 are 10, and by the binomial law 16 are rare."""
    wins = [
        winner(metric("similarity", **{str(number): noise(1000 * trial + number) for number in range(4)}))
        for trial in range(1, 201)
    ]
    assert sum(name is not None for name in wins) <= 16
