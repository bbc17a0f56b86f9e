"""Two-level sampling: its limits, its formula in plain arithmetic, and its bounds."""

import math

import numpy as np
import pytest

from components.data.config import TwoLevelSampling
from components.data.sampling import bounded, entropy_bits, fit_sampling

PLACE = np.repeat([0, 1, 2], [60, 30, 10])
NUM_CATEGORIES = 3


def scores() -> np.ndarray:
    return np.random.default_rng(3).normal(5, 2, 100)


def standardised(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def parameters(**changes: float) -> TwoLevelSampling:
    given = {
        "size_exponent": 0.5,
        "quality_weight": 0.5,
        "temperature": 1.0,
        "shrinkage_images": 0.0,
        "min_category_frac": 0.0,
        "max_repeats": 1e9,
    }
    return TwoLevelSampling(**(given | changes))


def sampling_probabilities(place: np.ndarray, scores: np.ndarray, p: TwoLevelSampling) -> np.ndarray:
    """The probability of each image of a corpus in memory."""
    num_categories = int(place.max()) + 1 if len(place) else 0
    return fit_sampling(lambda: [(place, scores)], num_categories, p).probabilities(place, scores)


def masses(p: np.ndarray) -> np.ndarray:
    return np.bincount(PLACE, weights=p)


def test_natural_limit_is_uniform_over_images() -> None:
    p = sampling_probabilities(PLACE, scores(), parameters(size_exponent=1.0, quality_weight=0.0, temperature=math.inf))
    np.testing.assert_allclose(p, 0.01, rtol=1e-12)


def test_flat_limit_is_uniform_over_categories() -> None:
    p = sampling_probabilities(PLACE, scores(), parameters(size_exponent=0.0, quality_weight=0.0))
    np.testing.assert_allclose(masses(p), 1 / 3, rtol=1e-12)
    assert entropy_bits(masses(p)) == pytest.approx(math.log2(3))


def test_agrees_with_the_formula_written_out() -> None:
    aes = standardised(scores())
    p = parameters(size_exponent=0.4, quality_weight=0.7, temperature=1.3, shrinkage_images=5.0)
    of = [aes[c == PLACE] for c in range(NUM_CATEGORIES)]
    weights = [len(mine) ** 0.4 * math.exp(0.7 * mine.sum() / (len(mine) + 5)) for mine in of]
    expected = [
        weights[c] / sum(weights) * math.exp(one / 1.3) / sum(math.exp(other / 1.3) for other in of[c])
        for c, one in zip(PLACE, aes, strict=True)
    ]
    np.testing.assert_allclose(sampling_probabilities(PLACE, scores(), p), expected, rtol=1e-9)


@pytest.mark.parametrize("batch_size", [1, 7, 99])
@pytest.mark.parametrize("changes", [{}, {"max_repeats": 1.4, "temperature": 0.3, "min_category_frac": 0.25}])
def test_batches_give_what_the_whole_gives(batch_size: int, changes: dict[str, float]) -> None:
    order = np.random.default_rng(1).permutation(100)
    place, values = PLACE[order], scores()[order]
    starts = range(0, 100, batch_size)
    fitted = fit_sampling(
        lambda: ((place[s : s + batch_size], values[s : s + batch_size]) for s in starts), 3, parameters(**changes)
    )
    whole = sampling_probabilities(place, values, parameters(**changes))
    np.testing.assert_allclose(fitted.probabilities(place, values), whole, rtol=1e-9)
    np.testing.assert_allclose(np.bincount(place, weights=whole), fitted.category_probability, rtol=1e-9)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 100.0), (1e4, 0.0), (1e-4, -3.0)])
def test_units_of_the_score_do_not_matter(scale: float, shift: float) -> None:
    expected = sampling_probabilities(PLACE, scores(), parameters())
    np.testing.assert_allclose(
        sampling_probabilities(PLACE, scores() * scale + shift, parameters()), expected, rtol=1e-6
    )


def test_permuting_the_images_permutes_the_probabilities() -> None:
    order = np.random.default_rng(0).permutation(100)
    p = sampling_probabilities(PLACE, scores(), parameters(max_repeats=2.0))
    shuffled = sampling_probabilities(PLACE[order], scores()[order], parameters(max_repeats=2.0))
    np.testing.assert_allclose(shuffled, p[order], rtol=1e-9)


@pytest.mark.parametrize("max_repeats", [1.0, 1.5, 3.0, 1e9])
@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_no_image_is_expected_more_often_than_the_cap(max_repeats: float, temperature: float) -> None:
    p = sampling_probabilities(PLACE, scores(), parameters(temperature=temperature, max_repeats=max_repeats))
    assert p.sum() == pytest.approx(1)
    assert p.max() * 100 <= max_repeats * (1 + 1e-9)
    assert (p > 0).all()


def test_the_cap_moves_nothing_between_categories_and_keeps_the_ratios_of_the_others() -> None:
    free = sampling_probabilities(PLACE, scores(), parameters())
    p = sampling_probabilities(PLACE, scores(), parameters(max_repeats=2.5))
    is_capped = p > 0.025 * (1 - 1e-9)
    assert 0 < is_capped.sum() < 50
    np.testing.assert_allclose(masses(p), masses(free), rtol=1e-9)
    for category in range(NUM_CATEGORIES):
        mine = (category == PLACE) & ~is_capped
        np.testing.assert_allclose(p[mine] / p[mine].sum(), free[mine] / free[mine].sum(), rtol=1e-9)


def test_a_rare_category_gets_its_floor_and_the_others_keep_their_ratio() -> None:
    free = masses(sampling_probabilities(PLACE, scores(), parameters(size_exponent=1.0)))
    p = masses(sampling_probabilities(PLACE, scores(), parameters(size_exponent=1.0, min_category_frac=0.2)))
    assert p[2] == pytest.approx(0.2)
    assert p[0] / p[1] == pytest.approx(free[0] / free[1])
    # Ten images, none expected more than 1.5 times of a hundred: the floor is out of reach.
    capped = parameters(size_exponent=1.0, min_category_frac=0.2, max_repeats=1.5)
    assert masses(sampling_probabilities(PLACE, scores(), capped))[2] == pytest.approx(0.15)


@pytest.mark.parametrize("seed", range(20))
def test_bounded_shares_are_a_common_factor_cut_at_the_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log_weights = rng.normal(0, 5, 30)
    floors, ceilings = rng.uniform(0, 1 / 30, 30), rng.uniform(1 / 30, 0.2, 30)
    p = bounded(log_weights, floors, ceilings)
    assert p.sum() == pytest.approx(1)
    assert (p >= floors).all()
    assert (p <= ceilings).all()
    factor = np.log(p) - log_weights
    free = (p > floors) & (p < ceilings)
    if free.any():
        assert np.ptp(factor[free]) < 1e-9
        assert (factor[p == floors] >= factor[free].max() - 1e-9).all()
        assert (factor[p == ceilings] <= factor[free].min() + 1e-9).all()


def test_extreme_scores_stay_finite() -> None:
    extreme = np.array([1e6] + [0.0] * 99)
    p = sampling_probabilities(PLACE, extreme, parameters(temperature=1e-3, max_repeats=5.0))
    assert np.isfinite(p).all()
    assert p.sum() == pytest.approx(1)


def test_shrinkage_takes_a_small_category_to_the_middle() -> None:
    good_and_tiny = np.array([0.0] * 90 + [9.0] * 10)
    free = sampling_probabilities(PLACE, good_and_tiny, parameters(quality_weight=1.0))
    shrunk = sampling_probabilities(PLACE, good_and_tiny, parameters(quality_weight=1.0, shrinkage_images=50.0))
    assert shrunk[90:].sum() < free[90:].sum()


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0.0},
        {"max_repeats": 0.5},
        {"shrinkage_images": -1.0},
        {"size_exponent": 1.5},
        {"min_category_frac": 0.34},
        {"min_category_frac": -0.1},
    ],
)
def test_parameters_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        sampling_probabilities(PLACE, scores(), parameters(**changes))


def test_scores_that_are_not_numbers_are_refused() -> None:
    bad = scores()
    bad[3] = np.nan
    with pytest.raises(ValueError, match="1 scores are not finite"):
        sampling_probabilities(PLACE, bad, parameters())
    with pytest.raises(ValueError, match="at least one"):
        sampling_probabilities(np.empty(0, np.int64), np.empty(0), parameters())
