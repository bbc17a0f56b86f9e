"""Two-level sampling: its limits, its formula in plain arithmetic, and the cap."""

import math

import numpy as np
import pytest

from components.data.config import TwoLevelSampling
from components.data.sampling import capped, category_entropy_bits, sampling_probabilities, standardise

CATEGORIES = ["big"] * 60 + ["middle"] * 30 + ["small"] * 10


def scores() -> np.ndarray:
    return np.random.default_rng(3).normal(5, 2, 100)


def parameters(**changes: float) -> TwoLevelSampling:
    given = {
        "size_exponent": 0.5, "quality_weight": 0.5, "temperature": 1.0, "shrinkage_images": 0.0, "max_repeats": 1e9
    }  # fmt: skip
    return TwoLevelSampling(**(given | changes))


def test_natural_limit_is_uniform_over_images() -> None:
    p = sampling_probabilities(
        CATEGORIES, scores(), parameters(size_exponent=1.0, quality_weight=0.0, temperature=math.inf)
    )
    np.testing.assert_allclose(p, 0.01, rtol=1e-12)


def test_flat_limit_is_uniform_over_categories() -> None:
    p = sampling_probabilities(CATEGORIES, scores(), parameters(size_exponent=0.0, quality_weight=0.0))
    masses = [p[np.array(CATEGORIES) == name].sum() for name in ("big", "middle", "small")]
    np.testing.assert_allclose(masses, 1 / 3, rtol=1e-12)
    assert category_entropy_bits(CATEGORIES, p) == pytest.approx(math.log2(3))


def test_agrees_with_the_formula_written_out() -> None:
    aes = standardise(scores())
    p = parameters(size_exponent=0.4, quality_weight=0.7, temperature=1.3, shrinkage_images=5.0)
    weights = {}
    for name in set(CATEGORIES):
        mine = aes[np.array(CATEGORIES) == name]
        weights[name] = len(mine) ** 0.4 * math.exp(0.7 * mine.sum() / (len(mine) + 5))
    total = sum(weights.values())
    expected = []
    for name, one in zip(CATEGORIES, aes, strict=True):
        mine = np.exp(aes[np.array(CATEGORIES) == name] / 1.3)
        expected.append(weights[name] / total * math.exp(one / 1.3) / mine.sum())
    np.testing.assert_allclose(sampling_probabilities(CATEGORIES, scores(), p), expected, rtol=1e-9)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 100.0), (1e4, 0.0), (1e-4, -3.0)])
def test_units_of_the_score_do_not_matter(scale: float, shift: float) -> None:
    expected = sampling_probabilities(CATEGORIES, scores(), parameters())
    np.testing.assert_allclose(
        sampling_probabilities(CATEGORIES, scores() * scale + shift, parameters()), expected, rtol=1e-6
    )


def test_permuting_the_images_permutes_the_probabilities() -> None:
    order = np.random.default_rng(0).permutation(100)
    p = sampling_probabilities(CATEGORIES, scores(), parameters(max_repeats=2.0))
    shuffled = sampling_probabilities([CATEGORIES[i] for i in order], scores()[order], parameters(max_repeats=2.0))
    np.testing.assert_allclose(shuffled, p[order], rtol=1e-12)


@pytest.mark.parametrize("max_repeats", [1.0, 1.5, 3.0, 1e9])
def test_no_image_is_expected_more_often_than_the_cap(max_repeats: float) -> None:
    p = sampling_probabilities(CATEGORIES, scores(), parameters(temperature=0.2, max_repeats=max_repeats))
    assert p.sum() == pytest.approx(1)
    assert p.max() * 100 <= max_repeats * (1 + 1e-9)
    assert (p > 0).all()


def test_the_cap_leaves_the_ratios_of_the_others_alone() -> None:
    p = capped(np.log(np.array([0.7, 0.2, 0.1])), 0.5)
    np.testing.assert_allclose(p, [0.5, 0.5 * 2 / 3, 0.5 / 3], rtol=1e-12)


def test_extreme_scores_stay_finite() -> None:
    extreme = np.array([1e6] + [0.0] * 99)
    p = sampling_probabilities(CATEGORIES, extreme, parameters(temperature=1e-3, max_repeats=5.0))
    assert np.isfinite(p).all()
    assert p.sum() == pytest.approx(1)


def test_shrinkage_takes_a_small_category_to_the_middle() -> None:
    good_and_tiny = np.array([0.0] * 90 + [9.0] * 10)
    free = sampling_probabilities(CATEGORIES, good_and_tiny, parameters(quality_weight=1.0))
    shrunk = sampling_probabilities(CATEGORIES, good_and_tiny, parameters(quality_weight=1.0, shrinkage_images=50.0))
    assert shrunk[90:].sum() < free[90:].sum()


@pytest.mark.parametrize(
    "changes", [{"temperature": 0.0}, {"max_repeats": 0.5}, {"shrinkage_images": -1.0}, {"size_exponent": 1.5}]
)
def test_parameters_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        sampling_probabilities(CATEGORIES, scores(), parameters(**changes))


def test_scores_that_are_not_numbers_are_refused() -> None:
    bad = scores()
    bad[3] = np.nan
    with pytest.raises(ValueError, match="1 scores are not finite"):
        sampling_probabilities(CATEGORIES, bad, parameters())
    with pytest.raises(ValueError, match="at least one"):
        sampling_probabilities([], np.array([]), parameters())
