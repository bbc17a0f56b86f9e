"""What was found in an image, kept: whoever asks about the same pixels again gets the same numbers at once."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

Images = UInt8[np.ndarray, "n h w 3"]


class Remembered:
    """A function of single images, asked once for each; rows of what it finds are kept for as long as this is."""

    def __init__(self, look: Callable[[Images], Float[np.ndarray, "n ..."]]) -> None:
        self._look = look
        self._found: dict[bytes, Any] = {}

    def __call__(self, images_u8: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n ..."]:
        """What it finds in each image; of images with equal pixels only the first is looked at."""
        names = [hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest() for image in images_u8]
        new = {name: place for place, name in reversed(list(enumerate(names))) if name not in self._found}
        if new:
            places = sorted(new.values())
            self._found |= zip((names[place] for place in places), self._look(images_u8[places]), strict=True)
        return np.stack([self._found[name] for name in names])
