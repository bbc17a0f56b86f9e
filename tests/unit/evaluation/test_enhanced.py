import numpy as np

from components.evaluation.enhanced import rows_of_pairs
from components.evaluation.measuring import variety

N, D = 40, 6


def drawings(seed: int, *, spread: float) -> np.ndarray:
    """Features of two drawings of each prompt, at most so far apart."""
    draw = np.random.default_rng(seed)
    centre = draw.normal(size=(1, N, D))
    return (centre + spread * draw.normal(size=(2, N, D))).astype(np.float32)


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
        assert enhanced.difference.value == enhanced.value - without.value
        assert enhanced.difference.low <= enhanced.difference.value <= enhanced.difference.high
