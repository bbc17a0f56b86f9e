"""Quality measures against closed forms and plain loops."""

import math

import numpy as np
import pytest

from components.data import quality_measures as q


def flat(level: int = 100) -> np.ndarray:
    return np.full((1, 16, 16, 3), level, np.uint8)


def random_images(n: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, 16, 16, 3), dtype=np.uint8)


def checkerboard() -> np.ndarray:
    cells = (np.indices((16, 16)).sum(0) % 2 * 255).astype(np.uint8)
    return np.repeat(cells[None, :, :, None], 3, axis=3)


def test_a_flat_image_measures_zero() -> None:
    for value in (q.sharpness(q.grey(flat())), q.entropy(q.grey(flat())), q.colourfulness(flat())):
        assert value == pytest.approx(0, abs=1e-9)


def test_sharpness_of_a_checkerboard_is_in_closed_form() -> None:
    # Each inner pixel's Laplacian is +-4 * 255, as often plus as minus.
    assert q.sharpness(q.grey(checkerboard()))[0] == pytest.approx((4 * 255) ** 2)


def test_sharpness_agrees_with_a_plain_loop() -> None:
    (image,) = random_images(1)
    g = image @ np.array([0.299, 0.587, 0.114])
    values = [
        g[r - 1, c] + g[r + 1, c] + g[r, c - 1] + g[r, c + 1] - 4 * g[r, c] for r in range(1, 15) for c in range(1, 15)
    ]
    assert q.sharpness(q.grey(image[None]))[0] == pytest.approx(np.var(values))


def test_entropy_of_equally_frequent_levels_is_their_logarithm() -> None:
    assert q.entropy(q.grey(checkerboard()))[0] == pytest.approx(1)
    ramp = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), 3, axis=3)
    assert q.entropy(q.grey(ramp))[0] == pytest.approx(math.log2(256))


def test_colourfulness_of_half_red_half_green_is_in_closed_form() -> None:
    image = np.zeros((1, 16, 16, 3), np.uint8)
    image[:, :8, :, 0] = 255
    image[:, 8:, :, 1] = 255
    # rg = +-255 (deviation 255, mean 0); yb = 127.5 everywhere
    assert q.colourfulness(image)[0] == pytest.approx(255 + 0.3 * 127.5)


def test_blank_share_counts_what_is_not_background() -> None:
    image = flat(255)
    image[0, 4:8, 4:12] = 0
    assert q.blank_frac(q.ground(image))[0] == pytest.approx(1 - 32 / 256)
    assert q.blank_frac(q.ground(flat(3)))[0] == 1


def test_a_batch_is_its_images_one_by_one() -> None:
    images = random_images()
    for made, measures in (
        (images, (q.colourfulness, q.mean_rgb, q.skin_frac)),
        (q.grey(images), (q.sharpness, q.entropy)),
        (q.ground(images), (q.blank_frac, q.border_frac)),
    ):
        for measure in measures:
            np.testing.assert_allclose(measure(made), [measure(one[None])[0] for one in made])


def test_colours_agree_with_plain_numpy() -> None:
    images = random_images()
    np.testing.assert_allclose(q.mean_rgb(images), images.mean(axis=(1, 2)))
    red, green, blue = np.moveaxis(images.astype(float), 3, 0)
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    spread, strength = np.hypot(*opponents.std(axis=(2, 3))), np.hypot(*opponents.mean(axis=(2, 3)))
    np.testing.assert_allclose(q.colourfulness(images), spread + 0.3 * strength, rtol=1e-6)


def test_ground_is_what_lies_near_the_median_of_the_border() -> None:
    images = random_images()
    images[:, 0], images[:, -1] = 250, 250
    images[0, :, 0] = 3
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    distance = np.abs(images - np.median(border, axis=1)[:, None, None])
    np.testing.assert_array_equal(q.ground(images), np.where((distance <= 8).all(axis=3), 255, 0))
