"""PP-OCR reads words that are drawn, the same way every time, and nothing where nothing is written."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from components.models.text_recognition import TextReader


def drawn(*lines: str) -> np.ndarray:
    image = Image.new("RGB", (200, 60 * len(lines)), (250, 240, 210))
    pen = ImageDraw.Draw(image)
    for k, line in enumerate(lines):
        pen.text((20, 12 + 60 * k), line, fill=(20, 30, 90), font=ImageFont.load_default(32))
    return np.asarray(image)


@pytest.fixture(scope="module")
def reader() -> TextReader:
    return TextReader(128)


def test_drawn_words_are_read_line_by_line_with_confidence(reader: TextReader) -> None:
    lines = reader.read(drawn("OPEN", "Hello 42"))
    assert [line.text.replace(" ", "") for line in lines] == ["OPEN", "Hello42"]
    assert all(0.8 < line.confidence <= 1 for line in lines)
    assert reader.read(drawn("OPEN", "Hello 42")) == lines


def test_a_picture_without_text_reads_as_nothing(reader: TextReader) -> None:
    assert reader.read(np.full((64, 64, 3), 255, np.uint8)) == []


def test_the_side_must_suit_the_network() -> None:
    with pytest.raises(ValueError, match="min_side_px is 100; allowed: multiples of 32"):
        TextReader(100)
