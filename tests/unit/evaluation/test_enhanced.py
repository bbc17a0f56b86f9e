from collections.abc import Sequence

import numpy as np
import pytest

from components.data.prompts import Prompt
from components.evaluation.comparison import Metric
from components.evaluation.enhanced import lettering, rows_of_pairs, variety
from components.evaluation.judging import Features

N, D = 40, 6


def drawings(seed: int, *, spread: float) -> np.ndarray:
    """Features of two drawings of each prompt, at most so far apart."""
    draw = np.random.default_rng(seed)
    centre = draw.normal(size=(1, N, D))
    return (centre + spread * draw.normal(size=(2, N, D))).astype(np.float32)


def value(metric: Metric, readings: np.ndarray) -> float:
    return metric.statistic(readings)


def test_variety_is_0_for_equal_drawings_1_for_opposite_ones_and_does_not_see_scale() -> None:
    real: Features = drawings(0, spread=1.0)[0]
    seen = {
        "equal": np.stack([real, real]),
        "opposite": np.stack([real, -real]),
        "right angles": np.tile(np.eye(2, D, dtype=np.float32)[:, None], (1, N, 1)),
        "scaled": np.stack([real, 7 * real]),
    }
    metric = variety(seen, real)
    found = {name: value(metric, readings) for name, readings in metric.generated.items()}
    assert found == pytest.approx({"equal": 0, "opposite": 1, "right angles": 0.5**0.5, "scaled": 0}, abs=1e-5)
    assert 0.3 < value(metric, metric.real) < 0.9


def test_what_varies_more_is_better_and_is_compared_with_its_own_model_only() -> None:
    seen = {
        "dpo": drawings(1, spread=0.2),
        "dpo_enhanced": drawings(1, spread=0.6),
        "turbo": drawings(2, spread=0.5),
        "turbo_enhanced": drawings(2, spread=0.1),
    }
    metric = variety(seen, drawings(3, spread=1.0)[0])
    rows = rows_of_pairs(metric, "heldout", [("dpo", "dpo_enhanced"), ("turbo", "turbo_enhanced")])
    assert [row.model for row in rows] == list(seen)
    moved = [(row.difference.over, row.difference.verdict) if row.difference else None for row in rows]
    assert moved == [None, ("dpo", "better"), None, ("turbo", "worse")]
    for without, enhanced in (rows[:2], rows[2:]):
        assert enhanced.difference is not None
        assert enhanced.difference.value == pytest.approx(enhanced.value - without.value)
        assert enhanced.difference.low <= enhanced.difference.value <= enhanced.difference.high


def test_only_prompts_that_quote_words_are_read() -> None:
    prompts = [Prompt(f"id{i}", "heldout_cell", "", "", "c", f"sign {i}", i) for i in range(6)]

    def read(images_u8: np.ndarray, asked: Sequence[Prompt]) -> np.ndarray:
        """An image of level i shows the words of prompt i; odd prompts quote nothing."""
        level = images_u8[:, 0, 0, 0]
        right = [float(shown == one.text_number) for shown, one in zip(level, asked, strict=True)]
        return np.array(
            [score if one.text_number % 2 == 0 else np.nan for score, one in zip(right, asked, strict=True)]
        )

    real = np.tile(np.arange(6, dtype=np.uint8)[:, None, None, None], (1, 4, 4, 3))
    half = real.copy()
    half[2] = 99
    metric = lettering(read, prompts, {"dpo": half, "dpo_enhanced": real}, real)
    assert len(metric.real) == 3
    found = {name: value(metric, readings) for name, readings in metric.generated.items()}
    assert found == pytest.approx({"dpo": 2 / 3, "dpo_enhanced": 1})
    assert (value(metric, metric.real), value(metric, metric.chance)) == (1, 0)
