"""Measures of one image's pixels: how sharp, how varied, how colourful, how empty. Pure, in batches, nothing learnt.

They describe; only `filters` decides. All images of a batch have one size (`decode.square`), so values compare.
"""

import numpy as np
import pyarrow as pa
from jaxtyping import Float, UInt8

from components.data.config import DecodeLimits
from components.data.decode import decode_squares
from components.data.records import SCORES

_GREY = np.array([0.299, 0.587, 0.114])  # Rec. 601 luma, as Pillow's "L"
_BLANK_TOLERANCE = 8


MEASURED = pa.schema([SCORES.field(name) for name in ("sharpness", "entropy", "colourfulness")])


def measure_batch(batch: pa.Table, px: int, limits: DecodeLimits) -> pa.Table:
    """Measures (`MEASURED`) of the images in the column `bytes`, on a square of `px` pixels."""
    images = decode_squares((data.as_py() for data in batch.column("bytes")), px, limits)
    columns = [measure(images).astype(np.float32) for measure in (sharpness, entropy, colourfulness)]
    return pa.table([pa.array(values) for values in columns], schema=MEASURED)


def grey(images_u8: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n h w"]:
    """Luma in [0, 255]."""
    return images_u8 @ _GREY


def sharpness(images_u8: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, " n"]:
    """Variance of the 4-neighbour Laplacian of luma; 0 for a flat image, higher is sharper.

    Source: Pech-Pacheco et al. 2000, doi:10.1109/ICPR.2000.903548.
    """
    g = grey(images_u8)
    inner = g[:, 1:-1, 1:-1]
    laplacian = g[:, :-2, 1:-1] + g[:, 2:, 1:-1] + g[:, 1:-1, :-2] + g[:, 1:-1, 2:] - 4 * inner
    return laplacian.var(axis=(1, 2))


def entropy(images_u8: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, " n"]:
    """Entropy in bits of the histogram of luma in 256 levels; from 0 (flat) to 8."""
    levels = np.rint(grey(images_u8)).astype(np.int64).reshape(len(images_u8), -1)
    offset = levels + 256 * np.arange(len(images_u8))[:, None]
    counts = np.bincount(offset.ravel(), minlength=256 * len(images_u8)).reshape(len(images_u8), 256)
    p = counts / levels.shape[1]
    return -np.sum(p * np.log2(np.where(p > 0, p, 1.0)), axis=1)


def colourfulness(images_u8: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, " n"]:
    """Spread and strength of the opponent colours; 0 for grey.

    Source: Hasler and Suesstrunk 2003, doi:10.1117/12.477378, section 6 (M^(3)).
    """
    red, green, blue = np.moveaxis(images_u8.astype(np.float64), 3, 0)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    axes = (1, 2)
    spread = np.hypot(red_green.std(axes), yellow_blue.std(axes))
    strength = np.hypot(red_green.mean(axes), yellow_blue.mean(axes))
    return spread + 0.3 * strength


def blank_frac(images_u8: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, " n"]:
    """Share of pixels within 8 levels of the image's own background (the median of its border), in [0, 1]."""
    top, bottom = images_u8[:, 0], images_u8[:, -1]
    left, right = images_u8[:, :, 0], images_u8[:, :, -1]
    background = np.median(np.concatenate([top, bottom, left, right], axis=1), axis=1)
    distance = np.abs(images_u8 - background[:, None, None, :]).max(axis=3)
    return (distance <= _BLANK_TOLERANCE).mean(axis=(1, 2))
