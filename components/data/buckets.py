"""Shapes that images are brought to: equal areas, sides in the autoencoder's stride, as little cropped as can be.

A batch of a training step has one shape, and equal areas cost the same; so images of every aspect go to the nearest of
a few shapes instead of losing their sides to a square.
Source: NovelAI 2022, aspect ratio bucketing; the area and stride are ERNIE-Image's (arXiv:2605.25347).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from components.data.config import BucketFit

STRIDE_PX = 16


@dataclass(frozen=True, order=True)
class Bucket:
    """A shape in pixels."""

    height: int
    width: int

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


def buckets_of(px: int, max_aspect: float) -> tuple[Bucket, ...]:
    """All shapes of about `px` x `px` pixels up to `max_aspect` to 1 either way, from tall to wide.

    For every longer side in strides, the shorter one that comes nearest to the area: it differs from `px` squared by
    at most half a stride of the longest side. `max_aspect` 1 leaves the square. ValueError if `px` is no multiple of
    the stride.
    """
    if px < STRIDE_PX or px % STRIDE_PX:
        raise ValueError(f"px is {px}; allowed: multiples of {STRIDE_PX}")
    if max_aspect < 1:
        raise ValueError(f"max_aspect is {max_aspect}; allowed: 1 or more")
    units = px // STRIDE_PX
    shapes: set[tuple[int, int]] = set()
    for longer in range(units, math.floor(units * math.sqrt(max_aspect)) + 1):
        shorter = max(1, math.floor(units**2 / longer + 0.5))
        if longer <= max_aspect * shorter:
            shapes |= {(shorter, longer), (longer, shorter)}
    found = [Bucket(height * STRIDE_PX, width * STRIDE_PX) for height, width in shapes]
    return tuple(sorted(found, key=lambda bucket: (bucket.aspect, bucket)))


def cropped_frac(width: int, height: int, bucket: Bucket) -> float:
    """The share of an image's pixels that does not fit the bucket's aspect, in [0, 1)."""
    ratio = width / height / bucket.aspect
    return 1 - min(ratio, 1 / ratio)


def bucket_for(width: int, height: int, buckets: Sequence[Bucket]) -> Bucket:
    """The bucket that crops least; of two alike the larger, then the first."""
    return min(buckets, key=lambda bucket: (cropped_frac(width, height, bucket), -bucket.height * bucket.width))


def summary(sizes: Sequence[tuple[int, int]], buckets: Sequence[Bucket]) -> tuple[float, int]:
    """Of images (width, height) and their buckets: the mean share cropped, and how many are smaller than they become.

    Smaller: with fewer pixels left after the crop than the bucket has.
    """
    lost = [cropped_frac(*size, bucket) for size, bucket in zip(sizes, buckets, strict=True)]
    num_enlarged = sum(
        width * height * (1 - frac) < bucket.height * bucket.width
        for (width, height), frac, bucket in zip(sizes, lost, buckets, strict=True)
    )
    return (math.fsum(lost) / len(lost) if lost else 0.0), num_enlarged


def pixels_needed(width: int, height: int, bucket: Bucket) -> int:
    """How long the longer side must be decoded for an image to be averaged down to the bucket: twice what is shown."""
    return math.ceil(2 * max(width, height) * max(bucket.width / width, bucket.height / height))


def to_bucket(pixels_u8: UInt8[np.ndarray, "h w 3"], bucket: Bucket, fit: BucketFit) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The image in the bucket's shape: its middle ("crop"), or all of it in the middle of white ("pad").

    Averaged over areas (box filter) when made smaller; "crop" enlarges by bicubic interpolation.
    """
    height, width = pixels_u8.shape[:2]
    if fit == "pad":
        pixels_u8 = _padded(pixels_u8, bucket)
        if pixels_u8.shape[:2] == (bucket.height, bucket.width):
            return pixels_u8
        size = (bucket.width, bucket.height)
        return np.asarray(Image.fromarray(pixels_u8).resize(size, Image.Resampling.BOX))
    kept_width, kept_height = min(width, height * bucket.aspect), min(height, width / bucket.aspect)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    box = (left, top, min(width, left + kept_width), min(height, top + kept_height))
    resample = Image.Resampling.BOX if kept_width >= bucket.width else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels_u8).resize((bucket.width, bucket.height), resample, box=box))


def _padded(pixels_u8: UInt8[np.ndarray, "h w 3"], bucket: Bucket) -> UInt8[np.ndarray, "h2 w2 3"]:
    height, width = pixels_u8.shape[:2]
    full_height, full_width = max(height, round(width / bucket.aspect)), max(width, round(height * bucket.aspect))
    if (full_height, full_width) == (height, width):
        return pixels_u8
    canvas = np.full((full_height, full_width, 3), 255, np.uint8)
    top, left = (full_height - height) // 2, (full_width - width) // 2
    canvas[top : top + height, left : left + width] = pixels_u8
    return canvas
