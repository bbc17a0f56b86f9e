"""JPEGs by OpenCV: the pixels that Pillow decodes, and nothing that Pillow would refuse."""

import io

import numpy as np
import pytest
from PIL import Image

from components.data.config import DecodeLimits
from components.data.decode import ImageRejectedError, decode_image
from components.data.jpeg import decode_whole, is_whole

LIMITS = DecodeLimits(10**6, 10**6, 500.0)


def encoded(mode: str = "RGB", size: tuple[int, int] = (203, 131), **options: object) -> bytes:
    coarse = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize(size).convert(mode).save(out, "JPEG", **({"quality": 90} | options))
    return out.getvalue()


SOUND = {
    "baseline": encoded(),
    "no chroma subsampling": encoded(subsampling=0),
    "half": encoded(subsampling=1),
    "progressive": encoded(progressive=True),
    "restarts": encoded(restart_marker_blocks=2),
    "stored as RGB": encoded(keep_rgb=True),
    "grey": encoded("L"),
    "one pixel": encoded(size=(1, 1)),
    "comment and profile": encoded(comment=b"\xff\xd9\xff\xda", icc_profile=b"\xff\xd9" * 40_000),
    "bytes behind the end": encoded() + b"\xff\xc4 more",
}


def by_pillow(data: bytes, scale: int) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        image.draft(None, (image.width // scale, image.height // scale))
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("kind", SOUND)
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_pixels_are_those_of_pillow_at_every_scale(kind: str, scale: int) -> None:
    assert is_whole(SOUND[kind])
    pixels = decode_whole(SOUND[kind], scale)
    assert pixels is not None
    if kind != "one pixel":
        np.testing.assert_array_equal(pixels, by_pillow(SOUND[kind], scale))


@pytest.mark.parametrize("kind", ["baseline", "progressive", "restarts"])
def test_no_beginning_of_a_file_is_whole(kind: str) -> None:
    data = SOUND[kind]
    assert not any(is_whole(data[:length]) for length in range(len(data)))


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xda\0\2\xff\xc4", b"\xff\xd8" * 9])
def test_fragments_are_not_whole(data: bytes) -> None:
    assert not is_whole(data)
    assert decode_whole(data, 1) is None


@pytest.mark.parametrize("kind", ["baseline", "progressive"])
def test_what_pillow_refuses_is_refused_and_what_it_takes_has_its_pixels(kind: str, capfd) -> None:
    rng, seen, first = np.random.default_rng(2), set[bool](), SOUND[kind].index(b"\xff\xda")
    for trial in range(150):
        data = bytearray(SOUND[kind])
        for place in rng.integers(first, len(data), 1 + trial % 3):
            data[place] = int(rng.integers(0, 256))
        try:
            expected = by_pillow(bytes(data), 2)
        except Exception:
            expected = None
        try:
            got = decode_image(bytes(data), LIMITS, 100).pixels_u8
        except ImageRejectedError:
            got = None
        assert (got is None) == (expected is None)
        assert got is None or np.array_equal(got, expected)
        seen.add(got is None)
    assert seen == {True, False}
    capfd.readouterr()  # libjpeg's own remarks on the damage
