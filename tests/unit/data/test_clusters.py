"""k-means: planted groups found, the same from the same seed, nothing lost."""

import numpy as np
import pytest

from components.data.clusters import cluster_names, fit_clusters, nearest_centres, unit_rows


def blobs(sizes: tuple[int, ...] = (60, 40, 25, 10)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    centres = 20 * np.eye(len(sizes), 6)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    order = rng.permutation(len(truth))
    return (centres[truth] + rng.normal(0, 0.5, (len(truth), 6))).astype(np.float32)[order], truth[order]


@pytest.mark.parametrize("seed", range(4))
def test_planted_blobs_are_recovered_largest_first(seed: int) -> None:
    x, truth = blobs()
    centres = fit_clusters(x, 4, np.random.default_rng(seed))
    np.testing.assert_array_equal(nearest_centres(x, centres)[0], truth)


def test_nearest_is_what_brute_force_finds() -> None:
    rng = np.random.default_rng(0)
    x, centres = rng.normal(size=(50, 4)).astype(np.float32), rng.normal(size=(7, 4)).astype(np.float32)
    squared = ((x[:, None] - centres[None]) ** 2).sum(axis=2)
    nearest, distance = nearest_centres(x, centres)
    np.testing.assert_array_equal(nearest, squared.argmin(axis=1))
    np.testing.assert_allclose(distance, squared.min(axis=1), rtol=1e-4, atol=1e-5)


def test_rounds_never_make_it_worse_than_its_seeds() -> None:
    x = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)
    centres = fit_clusters(x, 8, np.random.default_rng(0))
    members, distance = nearest_centres(x, centres)
    assert sorted(set(members)) == list(range(8))
    for number in range(8):  # the fixed point's condition: every centre is the mean of its members
        np.testing.assert_allclose(centres[number], x[members == number].mean(axis=0), atol=1e-5)
    assert distance.sum() < ((x - x.mean(axis=0)) ** 2).sum()


def test_fewer_different_rows_make_fewer_clusters() -> None:
    x = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    assert len(fit_clusters(x, 9, np.random.default_rng(0))) == 3
    with pytest.raises(ValueError, match="num_clusters is 0"):
        fit_clusters(x, 0, np.random.default_rng(0))


def test_unit_rows_and_names() -> None:
    rows = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], np.float16))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]], atol=1e-6)
    assert cluster_names(np.array([0, 12])) == ["cluster-000", "cluster-012"]
