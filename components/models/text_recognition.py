"""Reading the text in a picture: PP-OCRv4, Chinese and English, detection then recognition, from a pip package.

The weights come with the package, so nothing is downloaded. One thread per inference: with more, onnxruntime may add in
another order, and equal pictures would not always read the same.

Source: PaddleOCR's PP-OCRv4, as rapidocr-onnxruntime packs it (Apache-2.0).
"""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from rapidocr_onnxruntime import RapidOCR

MODEL_NAME = "PP-OCRv4"


@dataclass(frozen=True)
class Line:
    """One line of text as it was read, with the recogniser's confidence in [0, 1]."""

    text: str
    confidence: float


class TextReader:
    """Reads pictures whose shorter side is brought up to `min_side_px` first; may be called by several threads.

    256 reads letters of a fifth of a drawing's height as well as 736, the package's own choice, six times faster.
    """

    def __init__(self, min_side_px: int) -> None:
        if min_side_px < 32 or min_side_px % 32:
            raise ValueError(f"min_side_px is {min_side_px}; allowed: multiples of 32")
        self._min_side_px = min_side_px
        self._of_thread = threading.local()

    def read(self, image_u8: UInt8[np.ndarray, "h w 3"]) -> list[Line]:
        """The lines of text in one sRGB picture, from top to bottom."""
        lines, _ = self._network()(np.ascontiguousarray(image_u8[:, :, ::-1]))  # the package wants BGR
        return [Line(str(text), float(confidence)) for _, text, confidence in lines or ()]

    def _network(self) -> Any:
        # One per thread: the package keeps state of its last picture in the object.
        if not hasattr(self._of_thread, "network"):
            self._of_thread.network = RapidOCR(
                intra_op_num_threads=1,
                inter_op_num_threads=1,
                det_limit_side_len=self._min_side_px,
                det_limit_type="min",
                use_cls=False,
            )
        return self._of_thread.network
