from itertools import permutations, product

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from components.evaluation.kernel_distance import KernelReference, Kernels, cubic_kernel, kernel_distance


def rows(seed: int, number: int, width: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (number, width))


def looped(a: np.ndarray, b: np.ndarray) -> float:
    """The unbiased estimate, pair by pair in float64."""

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (sum(float(u) * float(v) for u, v in zip(x, y, strict=True)) / len(x) + 1) ** 3

    within = [sum(kernel(x, y) for x, y in permutations(side, 2)) / (len(side) * (len(side) - 1)) for side in (a, b)]
    return sum(within) - 2 * sum(kernel(x, y) for x, y in product(a, b)) / (len(a) * len(b))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_it_is_the_estimate_of_the_definition(dtype: type) -> None:
    a, b = rows(0, 7, 5, 0.3).astype(dtype), rows(1, 11, 5).astype(dtype)
    assert kernel_distance(a, b) == pytest.approx(looped(a, b), rel=1e-12)
    assert kernel_distance(a, b) == pytest.approx(kernel_distance(b, a), rel=1e-12)


def test_the_kernel_is_that_of_scikit_learn() -> None:
    a, b = rows(2, 6, 9), rows(3, 4, 9)
    np.testing.assert_allclose(cubic_kernel(a, b), polynomial_kernel(a, b, degree=3, coef0=1), rtol=1e-12)


def test_the_estimate_is_unbiased_and_grows_with_the_shift_of_the_mean() -> None:
    """Of normal x, y in one dimension: E k = sum of binomials times E x^p E y^p, so the distance is known."""

    def expected(shift: float) -> float:
        moments = [1, shift, 1 + shift**2, 3 * shift + shift**3]  # of a normal with this mean and variance 1
        zero = [1, 0, 1, 0]
        return sum(n * (m - z) ** 2 for n, m, z in zip([1, 3, 3, 1], moments, zero, strict=True))

    for shift in (0.0, 0.5, 1.0):
        found = [kernel_distance(rows(seed, 20, 1, shift), rows(10_000 + seed, 30, 1)) for seed in range(2000)]
        assert np.mean(found) == pytest.approx(expected(shift), abs=4 * np.std(found) / len(found) ** 0.5)
    assert min(kernel_distance(rows(seed, 20, 1), rows(50 + seed, 30, 1)) for seed in range(9)) < 0


def test_rows_that_are_drawn_twice_are_no_pairs() -> None:
    reference, sets = rows(0, 9, 4), [rows(1, 6, 4, 0.2), rows(2, 5, 4)]
    kernels = Kernels(KernelReference(reference), sets)
    for one, own in zip(sets, kernels.rows, strict=True):
        assert kernels.distance(own) == pytest.approx(kernel_distance(one, reference), rel=1e-12)
    drawn = np.array([0, 0, 3, 5, 5, 5])
    values = cubic_kernel(sets[0][drawn], sets[0][drawn])
    different = drawn[:, None] != drawn
    expected = (
        values[different].mean()
        + cubic_kernel(reference, reference)[~np.eye(9, dtype=bool)].mean()
        - 2 * cubic_kernel(sets[0][drawn], reference).mean()
    )
    assert kernels.distance(kernels.rows[0][drawn]) == pytest.approx(expected, rel=1e-12)
    only = cubic_kernel(sets[0][:1], np.concatenate([sets[0][:1], reference]))[0]
    expected = only[0] + cubic_kernel(reference, reference)[~np.eye(9, dtype=bool)].mean() - 2 * only[1:].mean()
    assert kernels.distance(kernels.rows[0][[0, 0]]) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(np.concatenate(kernels.rows)[:, 0], np.arange(11))


def test_too_few_rows_are_told() -> None:
    with pytest.raises(ValueError, match="at least 2 rows of reference, got 1"):
        kernel_distance(rows(0, 5, 3), rows(1, 1, 3))
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        kernel_distance(rows(0, 1, 3), rows(1, 5, 3))
