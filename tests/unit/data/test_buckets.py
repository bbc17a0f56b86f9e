"""Buckets: areas, strides, aspects and crops within the bounds that are stated for them."""

import math
from itertools import pairwise

import numpy as np
import pytest

from components.data.buckets import (
    STRIDE_PX,
    Bucket,
    bucket_for,
    buckets_of,
    cropped_frac,
    pixels_needed,
    summary,
    to_bucket,
)
from components.data.decode import square

CASES = [(px, aspect) for px in (32, 64, 256, 512, 1024) for aspect in (1.0, 2.0, 4.0)]


@pytest.mark.parametrize(("px", "max_aspect"), CASES)
def test_areas_strides_and_aspects_are_within_bounds(px: int, max_aspect: float) -> None:
    buckets = buckets_of(px, max_aspect)
    assert Bucket(px, px) in buckets
    assert len(set(buckets)) == len(buckets)
    for bucket in buckets:
        assert bucket.height % STRIDE_PX == bucket.width % STRIDE_PX == 0
        assert abs(bucket.height * bucket.width / px**2 - 1) <= math.sqrt(max_aspect) * STRIDE_PX / (2 * px) + 1e-12
        assert 1 / max_aspect <= bucket.aspect <= max_aspect
        assert Bucket(bucket.width, bucket.height) in buckets


def test_squares_alone_and_the_shapes_at_256() -> None:
    assert buckets_of(64, 1.0) == (Bucket(64, 64),)
    assert Bucket(128, 512) in buckets_of(256, 4.0)
    assert Bucket(512, 128) in buckets_of(256, 4.0)


def worst_cropped_frac(buckets: tuple[Bucket, ...], max_aspect: float) -> float:
    """The most that an image of an aspect up to `max_aspect` to 1 either way can lose in its best bucket.

    Halfway (in ratio) between two neighbours, or at the ends.
    """
    aspects = sorted(bucket.aspect for bucket in buckets)
    gaps = [math.sqrt(low / high) for low, high in pairwise(aspects)]
    ends = [min(1.0, aspects[-1] / max_aspect), min(1.0, 1 / (aspects[0] * max_aspect))]
    return 1 - min([*gaps, *ends])


@pytest.mark.parametrize(("px", "max_aspect"), CASES)
def test_every_aspect_is_covered_and_no_crop_exceeds_the_bound(px: int, max_aspect: float) -> None:
    buckets = buckets_of(px, max_aspect)
    bound = worst_cropped_frac(buckets, max_aspect)
    assert bound <= 1 - 1 / max_aspect  # what the square alone would lose
    lost = []
    for aspect in np.geomspace(1 / max_aspect, max_aspect, 801):
        width, height = round(10**6 * aspect), 10**6
        best = bucket_for(width, height, buckets)
        lost.append(cropped_frac(width, height, best))
        assert lost[-1] == min(cropped_frac(width, height, bucket) for bucket in buckets)
    assert max(lost) <= bound + 1e-5
    if px >= 256:
        assert max(lost) <= 0.09


@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (33, 33), (128, 128), (7, 300)])
def test_padding_into_a_square_is_what_it_always_was(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_bucket(pixels, Bucket(64, 64), "pad"), square(pixels, 64))


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("shape", [(40, 90), (300, 77), (5, 3), (257, 256), (1000, 999)])
def test_every_image_gets_its_buckets_shape(shape: tuple[int, int], fit: str) -> None:
    pixels = np.full((*shape, 3), 80, np.uint8)
    bucket = bucket_for(shape[1], shape[0], buckets_of(64, 4.0))
    out = to_bucket(pixels, bucket, fit)
    assert out.shape == (bucket.height, bucket.width, 3)
    assert out.dtype == np.uint8
    assert fit == "pad" or (out == 80).all()  # nothing invented


def test_the_middle_is_kept_and_only_the_ends_are_lost() -> None:
    bucket = Bucket(16, 32)
    pixels = np.zeros((32, 96, 3), np.uint8)
    pixels[:, :16], pixels[:, 80:] = 255, 255  # exactly the ends that a crop to 2:1 loses
    assert (to_bucket(pixels, bucket, "crop") == 0).all()
    padded = to_bucket(np.zeros((16, 16, 3), np.uint8), bucket, "pad")
    assert (padded[:, 8:24] == 0).all()
    assert (padded[:, :8] == 255).all()
    assert (padded[:, 24:] == 255).all()


def test_what_is_decoded_suffices_for_the_bucket() -> None:
    for width, height in ((4000, 3000), (300, 2000), (50, 60)):
        bucket = bucket_for(width, height, buckets_of(256, 4.0))
        scale = pixels_needed(width, height, bucket) / max(width, height)
        assert scale * width >= 2 * bucket.width - 1e-9
        assert scale * height >= 2 * bucket.height - 1e-9


def test_summary_counts_what_is_lost_and_enlarged() -> None:
    lost, num_enlarged = summary([(200, 100), (16, 16)], [Bucket(100, 100), Bucket(32, 32)])
    assert lost == pytest.approx(0.25)
    assert num_enlarged == 1
    assert summary([], []) == (0.0, 0)


def test_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match="px is 40; allowed: multiples of 16"):
        buckets_of(40, 2.0)
    with pytest.raises(ValueError, match="max_aspect"):
        buckets_of(64, 0.5)
