"""Measures of one image's pixels: how sharp, how varied, how colourful, how empty. Pure, in batches, nothing learnt.

They describe; only `filters` decides. All images of a batch have one size (`decode.stretched`), so values compare.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, UInt8

_GREY = np.array([0.299, 0.587, 0.114])  # Rec. 601 luma, as Pillow's "L"
_BLANK_TOLERANCE = 8


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
    return _is_ground(images_u8).mean(axis=(1, 2))


def border_frac(images_u8: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, " n"]:
    """Share of the picture outside the smallest box that holds all but its background, in [0, 1]; bars and margins."""
    content = ~_is_ground(images_u8)
    inner = [_extent(np.asarray(content.any(axis=axis))) for axis in (1, 2)]
    return 1.0 - inner[0] * inner[1] / (images_u8.shape[1] * images_u8.shape[2])


def skin_frac(images_u8: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, " n"]:
    """Share of pixels in the colours that human skin has in photographs, in [0, 1]; sand, wood and bread have them too.

    Source: Chai and Ngan 1999, doi:10.1109/76.767122 (Cb in 77 to 127, Cr in 133 to 173).
    """
    red, green, blue = np.moveaxis(images_u8.astype(np.float32), 3, 0)
    cb = 128 - 0.168736 * red - 0.331264 * green + 0.5 * blue
    cr = 128 + 0.5 * red - 0.418688 * green - 0.081312 * blue
    return ((cb >= 77) & (cb <= 127) & (cr >= 133) & (cr <= 173)).mean(axis=(1, 2))


def view_sharpness(grey_view: Float32[np.ndarray, "h w"]) -> float:
    """`sharpness` of one view at its own size, which sees blur that a small square averages away."""
    if min(grey_view.shape) < 3:
        return 0.0
    inner = grey_view[1:-1, 1:-1]
    around = grey_view[:-2, 1:-1] + grey_view[2:, 1:-1] + grey_view[1:-1, :-2] + grey_view[1:-1, 2:]
    laplacian = (around - 4 * inner).ravel()
    return float(np.dot(laplacian, laplacian) / laplacian.size - laplacian.mean() ** 2)


def _is_ground(images_u8: UInt8[np.ndarray, "n h w 3"]) -> Bool[np.ndarray, "n h w"]:
    """Which pixels are within 8 levels of the image's own background, the median of its border."""
    top, bottom = images_u8[:, 0], images_u8[:, -1]
    left, right = images_u8[:, :, 0], images_u8[:, :, -1]
    background = np.median(np.concatenate([top, bottom, left, right], axis=1), axis=1)
    # As bounds on whole levels, one channel after the other: five times faster than distances in floats.
    low, high = np.ceil(background - _BLANK_TOLERANCE), np.floor(background + _BLANK_TOLERANCE)
    low, high = (np.clip(bound, 0, 255).astype(np.uint8)[:, None, None, :] for bound in (low, high))
    is_near = [(images_u8[..., c] >= low[..., c]) & (images_u8[..., c] <= high[..., c]) for c in range(3)]
    return is_near[0] & is_near[1] & is_near[2]


def _extent(is_there: Bool[np.ndarray, "n k"]) -> Int64[np.ndarray, " n"]:
    """From the first to the last true place of each row, both counted; 0 where none is."""
    first, last = is_there.argmax(axis=1), is_there[:, ::-1].argmax(axis=1)
    return np.where(is_there.any(axis=1), is_there.shape[1] - last - first, 0)
