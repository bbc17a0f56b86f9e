"""What is measured at intake: each column by its own definition, whatever the size of the picture."""

import numpy as np
import pytest
from PIL import Image

from components.data import quality_measures as quality
from components.data.decode import stretched
from components.data.measures import MEAN_RGB, SQUARE_PX, VIEW_PX, measure_views
from components.data.phash import perceptual_hash
from components.data.records import MEASURES


def view(seed: int, height: int = 96, width: int = 160) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def averaged(image: np.ndarray, px: int) -> np.ndarray:
    """Exact averages of areas, in float64."""
    rows, columns = (overlaps(side, px) for side in image.shape[:2])
    return np.einsum("yi,xj,ijc->yxc", rows, columns, image.astype(float), optimize=True)


def overlaps(num_in: int, num_out: int) -> np.ndarray:
    """Share of each of `num_out` equal stretches that each of `num_in` pixels covers."""
    edges = np.arange(num_out + 1)[:, None] * num_in / num_out
    pixels = np.arange(num_in)
    inside = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return np.clip(inside, 0, None) * num_out / num_in


def test_columns_are_the_measures_of_the_stretched_squares() -> None:
    views = [view(seed) for seed in range(40)]
    table = measure_views(views, with_repetition=False)
    squares = np.stack([stretched(v, SQUARE_PX) for v in views])
    assert np.abs(squares - [averaged(v, SQUARE_PX) for v in views]).max() <= 0.51
    halved = squares.reshape(40, 32, 2, 32, 2, 3).astype(int).sum(axis=(2, 4))
    greys, grounds = quality.grey(squares), quality.ground(squares)
    assert table.schema == MEASURES
    assert table["phash"].to_pylist() == perceptual_hash(((halved + 2) // 4).astype(np.uint8)).tolist()
    for of, names in ((squares, ("colourfulness", "skin_frac")), (greys, ("sharpness", "entropy"))):
        for name in names:
            np.testing.assert_allclose(table[name].to_numpy(), getattr(quality, name)(of), rtol=1e-6)
    np.testing.assert_allclose(table["blank_frac"].to_numpy(), (grounds == 255).mean(axis=(1, 2)), rtol=1e-6)
    mean = np.stack([table[name].to_numpy() for name in MEAN_RGB], axis=1)
    np.testing.assert_allclose(mean, squares.mean(axis=(1, 2)), rtol=1e-5)
    assert table["repetition"].null_count == 40


def test_repetition_is_measured_only_where_it_is_asked_for() -> None:
    assert measure_views([view(0)], with_repetition=True)["repetition"].null_count == 0
    assert measure_views([], with_repetition=True).num_rows == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, VIEW_PX), (VIEW_PX, 1), (2, 3), (7, 200)])
def test_the_smallest_and_thinnest_views_have_finite_measures(shape: tuple[int, int]) -> None:
    table = measure_views([view(1, *shape)], with_repetition=True)
    assert all(np.isfinite(table[name].to_numpy()).all() for name in MEASURES.names)


def test_blur_lowers_sharpness_of_the_view_more_than_that_of_the_square() -> None:
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (192, 256, 3), dtype=np.uint8)
    blurred = np.asarray(Image.fromarray(sharp).resize((128, 96), Image.Resampling.BOX).resize((256, 192)))
    of = measure_views([sharp, blurred], with_repetition=False)
    at_view, at_square = (of[name].to_numpy() for name in ("view_sharpness", "sharpness"))
    assert at_view[1] / at_view[0] < 0.5 * at_square[1] / at_square[0]


def test_bars_are_border_and_skin_is_a_colour() -> None:
    boxed = np.zeros((1, 64, 64, 3), np.uint8)
    boxed[:, 16:48, 8:56] = np.random.default_rng(0).integers(100, 256, (32, 48, 3))
    assert quality.border_frac(quality.ground(boxed))[0] == pytest.approx(1 - 32 * 48 / 64**2)
    assert quality.border_frac(quality.ground(np.full((1, 64, 64, 3), 9, np.uint8)))[0] == 1
    colours = np.array(
        [[224, 172, 105], [141, 85, 36], [30, 90, 200], [60, 160, 60]], np.uint8
    )  # skin, skin, sky, grass
    patches = np.broadcast_to(colours[:, None, None, :], (4, 8, 8, 3))
    assert quality.skin_frac(patches).tolist() == [1, 1, 0, 0]


def test_view_sharpness_is_the_variance_of_the_laplacian() -> None:
    image = view(3)
    grey = np.asarray(Image.fromarray(image).convert("L"))
    assert quality.view_sharpness(grey) == pytest.approx(quality.sharpness(grey[None].astype(float))[0])
