import numpy as np
import pytest
from scipy.stats import friedmanchisquare, spearmanr

from components.preference.agreement import Level, category_biases, kendalls_w, krippendorffs_alpha

NAN = float("nan")
# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: four observers, twelve units.
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_published_example(level: Level, alpha: float) -> None:
    assert krippendorffs_alpha(PUBLISHED, level) == pytest.approx(alpha, abs=5e-4)


def test_alpha_of_the_published_example_of_two_observers() -> None:
    # Section B of the same: two observers, ten binary units, alpha = 0.095.
    two = np.array([[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]], np.float64)
    assert krippendorffs_alpha(two, "nominal") == pytest.approx(0.095, abs=5e-4)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_alpha_is_1_for_agreement_0_for_chance_and_nothing_without_difference(level: Level) -> None:
    draw = np.random.default_rng(0)
    same = np.tile(draw.integers(1, 11, 50).astype(np.float64), (3, 1))
    assert krippendorffs_alpha(same, level) == pytest.approx(1.0)
    assert krippendorffs_alpha(draw.integers(1, 11, (3, 4000)).astype(np.float64), level) == pytest.approx(0, abs=0.03)
    assert np.isnan(krippendorffs_alpha(np.ones((2, 5)), level))
    assert np.isnan(krippendorffs_alpha(np.array([[1.0, NAN], [NAN, 2.0]]), level))


def test_ordinal_alpha_sees_only_the_order_of_values() -> None:
    stretched = np.exp(PUBLISHED)
    assert krippendorffs_alpha(stretched, "ordinal") == pytest.approx(krippendorffs_alpha(PUBLISHED, "ordinal"))
    assert krippendorffs_alpha(stretched, "interval") != pytest.approx(krippendorffs_alpha(PUBLISHED, "interval"))


def test_w_of_the_published_example() -> None:
    # Siegel 1956, "Nonparametric Statistics", chapter 9: three executives rank six applicants, W = 0.16.
    ranks = np.array([[1, 6, 3, 2, 5, 4], [1, 5, 6, 4, 2, 3], [6, 3, 2, 5, 4, 1]], np.float64)
    assert kendalls_w(ranks) == pytest.approx(0.16, abs=5e-3)


def test_w_is_the_mean_spearman_correlation_in_another_dress() -> None:
    ratings = np.random.default_rng(1).random((4, 30))
    pairs = [spearmanr(ratings[i], ratings[j])[0] for i in range(4) for j in range(i)]
    assert kendalls_w(ratings) == pytest.approx((1 + 3 * np.mean(pairs)) / 4)


def test_w_with_ties_is_friedmans_statistic() -> None:
    ratings = np.random.default_rng(2).integers(1, 6, (5, 20)).astype(np.float64)
    assert kendalls_w(ratings) * 5 * 19 == pytest.approx(friedmanchisquare(*ratings.T)[0])


def test_w_is_of_images_that_all_have_seen_and_1_for_one_order() -> None:
    ratings = np.array([[1, 2, 3, NAN, 9], [2, 4, 8, 0, NAN]])
    assert kendalls_w(ratings) == pytest.approx(1.0)
    assert np.isnan(kendalls_w(np.ones((2, 3))))
    with pytest.raises(ValueError, match="2 annotators share 1 images"):
        kendalls_w(np.array([[1, NAN], [2, 3]]))


def test_a_planted_favour_for_a_category_is_found_and_mildness_is_not_one() -> None:
    draw = np.random.default_rng(3)
    categories = ["anime", "photo", "poster"] * 100
    ratings = draw.normal(5, 2, 300) + draw.normal(0, 0.5, (3, 300))
    ratings[1] += 2.0  # she rates all higher
    ratings[2, ::3] += 1.5  # she favours anime
    ratings[0, 200:] = NAN
    found = {(one.annotator, one.category): one for one in category_biases(ratings, ["p1", "p2", "p3"], categories)}
    assert len(found) == 9
    favour = found["p3", "anime"]
    assert favour.bias == pytest.approx(1.0, abs=0.15)  # 1.5 more than others, and 0.5 more overall
    assert favour.low > 0
    assert found["p3", "photo"].high < 0
    assert abs(found["p2", "photo"].bias - found["p2", "poster"].bias) < 0.25
    assert (found["p1", "anime"].num_images, favour.num_images) == (67, 100)


def test_who_shares_no_image_has_no_bias_and_one_image_shows_none() -> None:
    ratings = np.array([[1, 2, NAN], [NAN, 4, NAN], [NAN, NAN, 5]])
    found = category_biases(ratings, ["p1", "p2", "p3"], ["a", "b", "a"])
    assert [(one.annotator, one.category, one.num_images) for one in found] == [("p1", "b", 1), ("p2", "b", 1)]
    assert found[0].high == float("inf")
    with pytest.raises(ValueError, match="ratings of"):
        category_biases(ratings, ["p1"], ["a", "b", "a"])
