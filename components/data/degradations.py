"""Damage of known kind and strength: what a person would rank below the original, made on purpose.

There are no human votes in the data, so a scorer of looks can only be trained and tested on pairs whose order is known.
All functions take and return uint8 images of one size; strength 0 is gentle, 1 is plain to see.
"""

import io
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

Images = UInt8[np.ndarray, "n h w 3"]


def blur(images_u8: Images, strength: float, rng: np.random.Generator) -> Images:
    """Gaussian blur, radius 0.7 to 2 pixels of 64."""
    radius = (0.7 + 1.3 * strength) * images_u8.shape[1] / 64
    return _each(images_u8, lambda image: image.filter(ImageFilter.GaussianBlur(radius)))


def jpeg(images_u8: Images, strength: float, rng: np.random.Generator) -> Images:
    """JPEG at quality 25 down to 5."""

    def encoded(image: Image.Image) -> Image.Image:
        out = io.BytesIO()
        image.save(out, "JPEG", quality=round(25 - 20 * strength))
        return Image.open(out).convert("RGB")

    return _each(images_u8, encoded)


def noise(images_u8: Images, strength: float, rng: np.random.Generator) -> Images:
    """Gaussian noise of 10 to 40 levels, the same in no two pixels; drawn from `rng`."""
    noisy = images_u8 + rng.normal(0, 10 + 30 * strength, images_u8.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def posterise(images_u8: Images, strength: float, rng: np.random.Generator) -> Images:
    """Six levels of each colour down to three."""
    steps = round(5 - 3 * strength)
    return (np.rint(images_u8 / 255 * steps) * (255 / steps)).astype(np.uint8)


DEGRADATIONS: dict[str, Callable[[Images, float, np.random.Generator], Images]] = {
    "blur": blur,
    "jpeg": jpeg,
    "noise": noise,
    "posterise": posterise,
}


def degraded(images_u8: Images, strength: float, seed: int) -> Images:
    """Each image damaged once, the kinds taking turns; the same for the same seed."""
    rng = np.random.default_rng(seed)
    out = images_u8.copy()
    for first, damage in enumerate(DEGRADATIONS.values()):
        turn = slice(first, None, len(DEGRADATIONS))
        if len(out[turn]):
            out[turn] = damage(images_u8[turn], strength, rng)
    return out


def _each(images_u8: Images, change: Callable[[Image.Image], Image.Image]) -> Images:
    return np.stack([np.asarray(change(Image.fromarray(image))) for image in images_u8])
