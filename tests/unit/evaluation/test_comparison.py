import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest

from components.evaluation.comparison import Metric, Unit, compare, guard, pooled, win_rates

N = 200


def mean(readings: np.ndarray) -> float:
    return float(readings.mean())


def metric(unit: Unit, *models: np.ndarray, statistic: Callable[[np.ndarray], float] = mean) -> Metric:
    generated = dict(zip(("base", "sft", "dpo"), models, strict=False))
    return Metric("m", "metric", unit, "", statistic, generated, np.ones((N, 1)), np.zeros((N, 1)))


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(7)


def test_equal_models_do_not_differ(draw: np.random.Generator) -> None:
    same = draw.normal(size=(N, 1))
    base, sft, dpo = compare(metric("similarity", same, same, same), "heldout")
    assert base.difference is None
    for row, over in ((sft, "base"), (dpo, "sft")):
        assert row.difference is not None
        assert (row.difference.over, row.difference.value) == (over, 0)
        assert (row.difference.low, row.difference.high) == (0, 0)
        assert row.difference.verdict == "no difference beyond noise"


@pytest.mark.parametrize(
    ("unit", "shift", "verdict"),
    [
        ("similarity", 0.5, "better"),
        ("similarity", -0.5, "worse"),
        ("distance", 0.5, "worse"),
        ("distance", -0.5, "better"),
        ("distance", 0.001, "no difference beyond noise"),
    ],
)
def test_a_planted_difference_is_seen_only_beyond_noise(
    draw: np.random.Generator, unit: Unit, shift: float, verdict: str
) -> None:
    before, noise = draw.normal(size=(2, N, 1))
    noise -= noise.mean()
    difference = compare(metric(unit, before, before + shift + noise), "heldout")[1].difference
    assert difference is not None
    assert difference.verdict == verdict
    assert difference.value == pytest.approx(shift)
    half = 1.96 * noise.std() / math.sqrt(N)
    assert (difference.low, difference.high) == pytest.approx((shift - half, shift + half), abs=0.03)


def test_shares_have_wilson_intervals(draw: np.random.Generator) -> None:
    is_right = draw.random((N, 1)) < 0.3
    row = compare(metric("share", is_right.astype(float)), "heldout")[0]
    expected = binomtest(int(is_right.sum()), N).proportion_ci(method="wilson")
    assert (row.low, row.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (row.chance, row.real) == (0, 1)


def test_splits_are_pooled_prompt_by_prompt(draw: np.random.Generator) -> None:
    parts = [metric("similarity", *draw.normal(size=(2, N, 1))) for _ in range(2)]
    together = pooled(parts)
    for model in ("base", "sft"):
        both = [compare(part, "x")[["base", "sft"].index(model)].value for part in parts]
        assert mean(together.generated[model]) == pytest.approx(np.mean(both))
    assert len(together.real) == len(together.chance) == 2 * N


@pytest.mark.parametrize(
    ("unit", "factor", "is_kept"),
    [
        ("distance", 1.04, True),
        ("distance", 1.06, False),
        ("distance", 0.5, True),
        ("similarity", 0.96, True),
        ("similarity", 0.94, False),
        ("similarity", 1.5, True),
    ],
)
def test_a_guard_is_one_sided(unit: Unit, factor: float, is_kept: bool) -> None:
    before = np.linspace(1, 2, N)[:, None]
    (found,) = guard(metric(unit, before, factor * before), 0.05)
    assert (found.model, found.over, found.is_kept) == ("sft", "base", is_kept)
    assert (found.ratio, found.low, found.high) == pytest.approx((factor, factor, factor))


def test_where_the_earlier_model_is_below_zero_more_is_still_above_one() -> None:
    below = np.full((N, 1), -0.1)
    worse, better = guard(metric("similarity", below, 2 * below, below), 0.05)
    assert worse.ratio == pytest.approx(0)
    assert not worse.is_kept
    assert better.ratio == pytest.approx(1.5)


def test_wins_are_counted_and_ties_are_half() -> None:
    before = np.zeros(100)
    after = np.concatenate([np.ones(60), np.zeros(10), -np.ones(30)])
    sft, dpo = win_rates({"base": before, "sft": after, "dpo": after})
    assert (sft.model, sft.over, sft.num_prompts, sft.num_ties) == ("sft", "base", 100, 10)
    assert sft.share == pytest.approx(0.65)
    expected = binomtest(65, 100).proportion_ci(method="wilson")
    assert (sft.low, sft.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (dpo.share, dpo.num_ties) == (0.5, 100)
    assert dpo.low < 0.5 < dpo.high


def test_what_cannot_be_judged_is_left_out() -> None:
    (rate,) = win_rates({"base": np.array([0.0, np.nan, 0.0]), "sft": np.array([1.0, 1.0, np.nan])})
    assert (rate.num_prompts, rate.share) == (1, 1)
    (rate,) = win_rates({"base": np.array([np.nan]), "sft": np.array([1.0])})
    assert (rate.num_prompts, rate.share, rate.low, rate.high) == (0, 0.5, 0, 1)


def test_more_drawings_of_each_prompt_make_an_interval_narrower_as_far_as_they_differ(
    draw: np.random.Generator,
) -> None:
    before, noise = np.zeros((4, N)), draw.normal(size=(4, N))
    (once,) = win_rates({"base": before[0], "sft": noise[0]})
    (alike,) = win_rates({"base": before, "sft": np.broadcast_to(noise[0], (4, N))})
    (apart,) = win_rates({"base": before, "sft": noise})
    assert (alike.share, alike.low, alike.high) == pytest.approx((once.share, once.low, once.high), abs=1e-3)
    assert (alike.num_prompts, alike.num_drawings) == (apart.num_prompts, apart.num_drawings) == (N, 4)
    assert apart.share == pytest.approx(float((noise > 0).mean()))
    assert apart.high - apart.low == pytest.approx((once.high - once.low) / 2, rel=0.1)


def test_a_prompt_is_judged_in_all_its_drawings_or_not_at_all() -> None:
    after = np.array([[1.0, np.nan, 1.0], [-1.0, 1.0, 1.0]])
    (rate,) = win_rates({"base": np.zeros((2, 3)), "sft": after})
    assert (rate.num_prompts, rate.share) == (2, 0.75)


def test_a_planted_preference_is_found(draw: np.random.Generator) -> None:
    before = draw.normal(size=2000)
    (rate,) = win_rates({"base": before, "sft": before + draw.normal(0.5, 1, size=2000)})
    assert rate.low < 0.6915 < rate.high  # P(normal > -0.5)
    assert rate.high - rate.low < 0.05
