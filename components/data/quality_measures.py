"""Measures of one image's pixels: how sharp, how varied, how colourful, how empty. Pure, in batches, nothing learnt.

They describe; only `filters` decides. All images of a batch have one size (`decode.stretched`), so values compare.
What several measures need, `grey` and `ground`, is made once and handed to them.
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

_GREY = np.array([0.299, 0.587, 0.114])  # Rec. 601 luma, as Pillow's "L"
_OPPONENTS = np.array([[1, -1, 0], [0.5, 0.5, -1]], np.float32)  # red to green, yellow to blue
_BLANK_TOLERANCE = 8
_SKIN_YCRCB = (0, 133, 77), (255, 173, 127)


def grey(images_u8: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n h w"]:
    """Luma in [0, 255]."""
    return images_u8 @ _GREY


def ground(images_u8: UInt8[np.ndarray, "n h w 3"]) -> UInt8[np.ndarray, "n h w"]:
    """255 where a pixel is within 8 levels of the image's own background, the median of its border; 0 elsewhere."""
    top, bottom = images_u8[:, 0], images_u8[:, -1]
    left, right = images_u8[:, :, 0], images_u8[:, :, -1]
    background = np.median(np.concatenate([top, bottom, left, right], axis=1), axis=1)
    low, high = np.ceil(background - _BLANK_TOLERANCE), np.floor(background + _BLANK_TOLERANCE)
    return np.stack([cv2.inRange(*one) for one in zip(images_u8, low, high, strict=True)])


def sharpness(greys: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, " n"]:
    """Variance of the 4-neighbour Laplacian of luma; 0 for a flat image, higher is sharper.

    Source: Pech-Pacheco et al. 2000, doi:10.1109/ICPR.2000.903548.
    """
    laplacians = (cv2.Laplacian(one, cv2.CV_64F, ksize=1)[1:-1, 1:-1] for one in greys)
    return np.array([cv2.meanStdDev(one)[1][0, 0] ** 2 for one in laplacians])


def entropy(greys: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, " n"]:
    """Entropy in bits of the histogram of luma in 256 levels; from 0 (flat) to 8."""
    levels = np.rint(greys).astype(np.int64).reshape(len(greys), -1)
    offset = levels + 256 * np.arange(len(greys))[:, None]
    counts = np.bincount(offset.ravel(), minlength=256 * len(greys)).reshape(len(greys), 256)
    p = counts / levels.shape[1]
    return -np.sum(p * np.log2(np.where(p > 0, p, 1.0)), axis=1)


def colourfulness(images_u8: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, " n"]:
    """Spread and strength of the opponent colours; 0 for grey.

    Source: Hasler and Suesstrunk 2003, doi:10.1117/12.477378, section 6 (M^(3)).
    """
    opponents = (cv2.transform(one.astype(np.float32), _OPPONENTS) for one in images_u8)
    moments = np.array([cv2.meanStdDev(one) for one in opponents])
    strength, spread = np.hypot(moments[:, :, 0, 0], moments[:, :, 1, 0]).T
    return spread + 0.3 * strength


def mean_rgb(images_u8: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n 3"]:
    """Mean of each channel, in [0, 255]."""
    return np.array([cv2.mean(one)[:3] for one in images_u8])


def blank_frac(grounds: UInt8[np.ndarray, "n h w"]) -> Float[np.ndarray, " n"]:
    """Share of pixels in the image's own background, in [0, 1]."""
    return np.array([cv2.countNonZero(one) / one.size for one in grounds])


def border_frac(grounds: UInt8[np.ndarray, "n h w"]) -> Float[np.ndarray, " n"]:
    """Share of the picture outside the smallest box that holds all but its background, in [0, 1]; bars and margins."""
    boxes = np.array([cv2.boundingRect(255 - one) for one in grounds])
    return 1.0 - boxes[:, 2] * boxes[:, 3] / (grounds.shape[1] * grounds.shape[2])


def skin_frac(images_u8: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, " n"]:
    """Share of pixels in the colours that human skin has in photographs, in [0, 1]; sand, wood and bread have them too.

    Source: Chai and Ngan 1999, doi:10.1109/76.767122 (Cb in 77 to 127, Cr in 133 to 173).
    """
    is_skin = (cv2.inRange(cv2.cvtColor(one, cv2.COLOR_RGB2YCrCb), *_SKIN_YCRCB) for one in images_u8)
    return np.array([cv2.countNonZero(one) / one.size for one in is_skin])


def view_sharpness(grey_view: UInt8[np.ndarray, "h w"]) -> float:
    """`sharpness` of one view at its own size, which sees blur that a small square averages away."""
    if min(grey_view.shape) < 3:
        return 0.0
    laplacian = cv2.Laplacian(grey_view, cv2.CV_16S, ksize=1)[1:-1, 1:-1]
    mean = cv2.sumElems(laplacian)[0] / laplacian.size
    return cv2.norm(laplacian, cv2.NORM_L2SQR) / laplacian.size - mean**2
