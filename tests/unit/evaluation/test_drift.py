"""Measures of drift against closed forms; the chart shows what was measured and leaves gaps where nothing was."""

import math

import numpy as np
import pytest

from components.data.quality_measures import colourfulness
from components.evaluation.drift import COLOURS, by_domain, diversity, drift_chart, saturation


@pytest.mark.parametrize("num_images", [2, 3, 6])
def test_diversity_is_the_mean_distance_of_two_normal_draws(num_images):
    """Of n(0, s^2 I) in d dimensions: 2 s Gamma((d + 1) / 2) / Gamma(d / 2), whatever the number of pictures."""
    d, scales = 5, np.array([0.5, 2.0])
    draws = np.random.default_rng(0).standard_normal((2, 4000, num_images, d)) * scales[:, None, None, None]
    found = np.stack([diversity(of_scale) for of_scale in draws])
    expected = 2 * scales * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    np.testing.assert_allclose(found.mean(axis=1), expected, rtol=0.02)


def test_diversity_by_hand():
    features = np.array([[[0.0, 0.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]])
    np.testing.assert_array_equal(diversity(features), [5.0, 0.0])
    triple = np.array([[[0.0], [1.0], [3.0]]])
    np.testing.assert_allclose(diversity(triple), [(1 + 3 + 2) / 3])


def test_diversity_does_not_depend_on_the_order_or_on_where_the_features_lie():
    features = np.random.default_rng(0).normal(size=(3, 4, 6))
    for same in (features[:, ::-1], features + 7.0):
        np.testing.assert_allclose(diversity(same), diversity(features))
    np.testing.assert_allclose(diversity(3 * features), 3 * diversity(features))


def test_of_one_picture_there_is_no_diversity():
    with pytest.raises(ValueError, match="at least 2 pictures for each prompt, got 1"):
        diversity(np.zeros((3, 1, 2)))


def test_saturation_is_0_for_grey_and_grows_with_colour():
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.integers(80, 176, (4, 16, 16, 1), dtype=np.uint8), 3, axis=3)
    coloured = rng.integers(80, 176, (4, 16, 16, 3), dtype=np.uint8)
    twice = (128 + 2 * (coloured.astype(int) - 128)).clip(0, 255).astype(np.uint8)
    assert saturation(grey) == pytest.approx(0.0, abs=1e-6)
    # A colour that is spread twice as far is twice as colourful, whatever the picture.
    assert saturation(twice) == pytest.approx(2 * saturation(coloured), rel=0.02)
    assert saturation(coloured) == pytest.approx(colourfulness(coloured).mean())


def test_every_domain_counts_the_same_and_what_was_not_judged_not_at_all():
    values = np.array([1.0, 3.0, np.nan, 10.0, np.nan])
    found = by_domain(values, ["a", "a", "a", "b", "c"])
    assert found == {"a": 2.0, "b": 10.0, "all": 6.0}
    assert by_domain(np.array([np.nan]), ["a"]) == {}


def looks(num=5, **curves):
    """Looks of some curves, given as functions of the updates."""
    return [
        {"student_updates": 10 * k, "reason": "", **{name: value(10 * k) for name, value in curves.items()}}
        for k in range(num)
    ]


def strong(image):
    """Pixels with a strong colour: those of domains' curves and of the legend."""
    levels = image.astype(int)
    return (levels.max(axis=2) - levels.min(axis=2)) > 40


def curve(measure, domain="poster"):
    return f"drift/{domain}/{measure}"


def test_without_looks_there_is_an_empty_picture():
    assert drift_chart([]).ndim == 3
    assert not strong(drift_chart([])).any()


@pytest.mark.parametrize(("num_measures", "num_rows"), [(1, 1), (3, 1), (4, 2), (7, 3)])
def test_each_measure_has_a_panel_of_its_own(num_measures, num_rows):
    height, width, _ = drift_chart(looks(**{curve(f"m{k}"): lambda u: 1.0 for k in range(num_measures)})).shape
    assert (height, width) == (round(270 * num_rows + 40), 1200)


def test_saturation_and_the_fake_loss_have_panels_too():
    only = looks(**{curve("alignment"): lambda u: 1.0})
    more = looks(**{curve("alignment"): lambda u: 1.0, "saturation": lambda u: 1.1, "fake_loss": lambda u: 0.1})
    assert not np.array_equal(drift_chart(only), drift_chart(more))
    assert drift_chart(only).shape == drift_chart(more).shape


@pytest.mark.parametrize("direction", [1, -1])
def test_a_curve_runs_where_its_values_go(direction):
    image = strong(drift_chart(looks(9, **{curve("alignment"): lambda u: 1 + direction * u / 100})))[60:, :400]
    heights = np.array([np.nonzero(column)[0].mean() for column in image.T if column.any()])
    assert (heights[5] - heights[-5]) * direction > 0


def test_domains_have_colours_of_their_own():
    domains = [f"d{k}" for k in range(len(COLOURS))]
    image = drift_chart(looks(**{curve("alignment", d): lambda u, k=k: k + 1.0 for k, d in enumerate(domains)}))
    there = {tuple(pixel) for pixel in image[strong(image)].tolist()}
    assert {tuple(bytes.fromhex(colour[1:])) for colour in COLOURS} <= there


def test_what_is_missing_or_not_finite_is_left_out():
    whole = looks(3, **{curve("alignment"): lambda u: 1 + u / 10})
    missing = [*whole[:2], {**whole[2], curve("alignment"): float("nan")}]
    without = [*whole[:2], {"student_updates": 20, "reason": ""}]
    np.testing.assert_array_equal(drift_chart(missing), drift_chart(without))
