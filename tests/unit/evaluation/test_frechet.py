import numpy as np
import pytest
import scipy.linalg

from components.evaluation.frechet import Gaussian, fit_gaussian, fit_projection, frechet_distance


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(7)


def random_gaussian(draw: np.random.Generator, d: int) -> Gaussian:
    half = draw.normal(size=(d, d + 2))
    return Gaussian(draw.normal(size=d), half @ half.T / d)


@pytest.mark.parametrize("d", [1, 2, 16])
def test_equal_gaussians_are_at_distance_zero(draw: np.random.Generator, d: int) -> None:
    a = random_gaussian(draw, d)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-10)


def test_in_one_dimension_it_is_the_distance_of_means_and_deviations() -> None:
    a, b = Gaussian(np.array([1.0]), np.array([[4.0]])), Gaussian(np.array([4.0]), np.array([[25.0]]))
    assert frechet_distance(a, b) == pytest.approx((1 - 4) ** 2 + (2 - 5) ** 2)


def test_commuting_covariances_have_a_closed_form(draw: np.random.Generator) -> None:
    axes = np.linalg.qr(draw.normal(size=(8, 8)))[0]
    s, t = draw.uniform(0.1, 3, 8), draw.uniform(0.1, 3, 8)
    a, b = Gaussian(np.zeros(8), axes @ np.diag(s) @ axes.T), Gaussian(np.ones(8), axes @ np.diag(t) @ axes.T)
    assert frechet_distance(a, b) == pytest.approx(8 + np.sum((np.sqrt(s) - np.sqrt(t)) ** 2))


def test_it_agrees_with_the_matrix_square_root_of_scipy(draw: np.random.Generator) -> None:
    a, b = random_gaussian(draw, 12), random_gaussian(draw, 12)
    root = scipy.linalg.sqrtm(a.covariance @ b.covariance).real
    expected = np.sum((a.mean - b.mean) ** 2) + np.trace(a.covariance + b.covariance - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)


def test_it_is_symmetric_and_does_not_change_when_both_are_rotated(draw: np.random.Generator) -> None:
    a, b = random_gaussian(draw, 6), random_gaussian(draw, 6)
    turn = np.linalg.qr(draw.normal(size=(6, 6)))[0]
    turned = [Gaussian(turn @ g.mean, turn @ g.covariance @ turn.T) for g in (a, b)]
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b))
    assert frechet_distance(*turned) == pytest.approx(frechet_distance(a, b))


def test_a_singular_covariance_is_allowed(draw: np.random.Generator) -> None:
    few = draw.normal(size=(3, 10))
    a = fit_gaussian(few)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    assert np.isfinite(frechet_distance(a, random_gaussian(draw, 10)))


def test_samples_approach_the_distance_of_their_gaussians(draw: np.random.Generator) -> None:
    a, b = random_gaussian(draw, 4), random_gaussian(draw, 4)
    samples = [draw.multivariate_normal(g.mean, g.covariance, size=40_000) for g in (a, b)]
    measured = frechet_distance(fit_gaussian(samples[0]), fit_gaussian(samples[1]))
    assert measured == pytest.approx(frechet_distance(a, b), rel=0.05)


def test_the_projection_keeps_the_directions_of_most_variance(draw: np.random.Generator) -> None:
    features = draw.normal(size=(500, 5)) * np.array([0.1, 5.0, 0.2, 3.0, 0.1]) + 7
    projected = fit_projection(features, 2)(features)
    kept = np.sort(projected.var(axis=0, ddof=1))[::-1]
    expected = np.sort(np.linalg.eigvalsh(np.cov(features, rowvar=False)))[::-1][:2]
    np.testing.assert_allclose(kept, expected, rtol=1e-9)
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=1e-9)


def test_all_axes_keep_the_distance(draw: np.random.Generator) -> None:
    x, y = draw.normal(size=(200, 6)), draw.normal(1, 2, size=(200, 6))
    project = fit_projection(x, 6)
    full = frechet_distance(fit_gaussian(x), fit_gaussian(y))
    assert frechet_distance(fit_gaussian(project(x)), fit_gaussian(project(y))) == pytest.approx(full)


def test_impossible_requests_are_refused(draw: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="2 rows, got 1"):
        fit_gaussian(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="between 1 and 3, got 4"):
        fit_projection(draw.normal(size=(9, 3)), 4)
