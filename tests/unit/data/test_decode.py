"""Decoding: every reason to refuse has one crafted image; every odd but sound image becomes the right RGB pixels."""

import io
import struct
import threading
import warnings
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms

from components.data.config import DecodeLimits
from components.data.decode import (
    REASONS,
    ImageRejectedError,
    at_most,
    decode_image,
    decode_rgb,
    decode_square,
    named_format,
    stretched,
)

LIMITS = DecodeLimits(max_pixels=4_000_000, max_bytes=200_000, max_ratio=200.0)


def picture(height: int = 40, width: int = 30, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(image: Image.Image, name: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def frames(name: str) -> bytes:
    first, second = (Image.fromarray(picture() // k) for k in (1, 2))
    return encoded(first, name, save_all=True, append_images=[second], duration=100)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG of a few dozen bytes that declares `width` x `height` pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def flipped_in_the_middle(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 40]) + data[middle + 40 :]


PNG = encoded(Image.fromarray(picture()), "PNG")
JPEG = encoded(Image.fromarray(picture()), "JPEG", quality=95)
WEBP = encoded(Image.fromarray(picture()), "WEBP", lossless=True)
REFUSED = {
    "no bytes": (b"", "empty"),
    "byte bomb": (PNG + b"\0" * 200_001, "too_many_bytes"),
    "not an image": (b"<html>404 not found</html>", "unsupported_format"),
    "a format we do not read": (encoded(Image.fromarray(picture()), "BMP"), "unsupported_format"),
    "pixel bomb": (png_of_size(3000, 3000), "too_many_pixels"),
    "pixel bomb beyond Pillow's own warning": (png_of_size(12_000, 12_000), "too_many_pixels"),
    "pixel bomb beyond Pillow's own limit": (png_of_size(60_000, 60_000), "too_many_pixels"),
    "ratio bomb": (encoded(Image.new("RGB", (1900, 1900)), "WEBP", lossless=True), "compression_ratio"),
    "animated gif": (frames("GIF"), "animated"),
    "animated webp": (frames("WEBP"), "animated"),
    "animated png": (frames("PNG"), "animated"),
    "truncated png": (PNG[: len(PNG) // 2], "truncated"),
    "truncated jpeg": (JPEG[: len(JPEG) // 2], "truncated"),
    "truncated webp": (WEBP[: len(WEBP) // 2], "truncated"),
    "signature only": (b"\x89PNG\r\n\x1a\n", "truncated"),
    "damaged png": (flipped_in_the_middle(PNG), "corrupt"),
    "header only": (png_of_size(30, 40), "truncated"),
    "lying profile": (encoded(Image.fromarray(picture()), "PNG", icc_profile=b"not a profile"), "colour_profile"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_each_crafted_image_is_refused_for_its_reason(case: str) -> None:
    data, reason = REFUSED[case]
    with pytest.raises(ImageRejectedError) as refused:
        decode_rgb(data, LIMITS)
    assert refused.value.reason == reason, refused.value.detail
    assert "\n" not in str(refused.value)


def test_every_reason_has_a_crafted_image() -> None:
    assert {reason for _, reason in REFUSED.values()} == set(REASONS)


@pytest.mark.parametrize("name", ["PNG", "WEBP", "GIF", "JPEG"])
def test_plain_images_keep_their_pixels(name: str) -> None:
    grey = np.repeat(picture(channels=1), 3, axis=2)
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(name, {})
    decoded = decode_image(encoded(Image.fromarray(grey[:, :, 0] if name == "GIF" else grey), name, **options), LIMITS)
    assert decoded.format == name
    assert np.abs(decoded.pixels_u8.astype(int) - grey).max() <= (4 if name == "JPEG" else 0)


def test_alpha_is_composited_on_white() -> None:
    rgba = picture(channels=4)
    alpha = rgba[:, :, 3:].astype(float) / 255
    expected = rgba[:, :, :3] * alpha + 255 * (1 - alpha)
    got = decode_rgb(encoded(Image.fromarray(rgba), "PNG"), LIMITS)
    assert np.abs(got - expected).max() <= 1.01


def test_palette_with_a_clear_colour_is_composited_on_white() -> None:
    image = Image.fromarray(np.repeat(np.array([[0, 1]], np.uint8), 4, axis=0)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    got = decode_rgb(encoded(image, "PNG", transparency=0), LIMITS)
    assert (got[:, 0] == 255).all()
    assert (got[:, 1] == [40, 50, 60]).all()


def test_one_clear_colour_of_an_rgb_png_becomes_white() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0] = [1, 2, 3]
    got = decode_rgb(encoded(Image.fromarray(pixels), "PNG", transparency=(1, 2, 3)), LIMITS)
    assert (got[0] == 255).all()
    assert (got[1] == 0).all()


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    got = decode_rgb(encoded(Image.fromarray(values), "PNG"), LIMITS)
    assert np.abs(got[:, :, 0] - values / 257.0).max() <= 0.51
    assert (got[:, :, 0] == got[:, :, 2]).all()


def test_cmyk_jpeg_becomes_rgb() -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    got = decode_rgb(encoded(cyan, "JPEG", quality=100), LIMITS)
    assert np.abs(got.astype(int) - [0, 255, 255]).max() <= 3


def test_grey_and_bilevel_become_three_equal_channels() -> None:
    for mode in ("L", "1", "LA"):
        got = decode_rgb(encoded(Image.new(mode, (5, 4)), "PNG"), LIMITS)
        assert got.shape == (4, 5, 3)
        assert (got[..., 0] == got[..., 1]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = picture(6, 4)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    got = decode_rgb(encoded(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif), LIMITS)
    np.testing.assert_array_equal(got, upright)


def test_a_profile_is_converted_and_srgb_changes_nothing() -> None:
    image = Image.fromarray(picture())
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    got = decode_rgb(encoded(image, "PNG", icc_profile=srgb), LIMITS).astype(int)
    assert np.abs(got - picture()).max() <= 1
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    with pytest.raises(ImageRejectedError, match="colour_profile"):
        decode_rgb(encoded(image, "PNG", icc_profile=lab), LIMITS)


def test_the_name_of_a_file_decides_nothing() -> None:
    assert named_format("cat.JPG") == "JPEG"
    assert named_format("cat") == named_format("cat.svg") == ""
    assert decode_image(PNG, LIMITS).format == "PNG"


def test_the_square_is_white_around_and_averages_areas() -> None:
    pixels = picture(32, 16)
    got = decode_square(encoded(Image.fromarray(pixels), "PNG"), 8, LIMITS)
    areas = pixels.reshape(8, 4, 4, 4, 3).mean(axis=(1, 3))
    assert got.shape == (8, 8, 3)
    assert (got[:, :2] == 255).all()
    assert (got[:, 6:] == 255).all()
    assert np.abs(got[:, 2:6] - areas).max() <= 1.0  # rows, then columns: two roundings of half a level


def test_a_square_below_one_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match="px is 0"):
        decode_square(PNG, 0, LIMITS)


def test_decoding_in_threads_leaves_the_warning_filters_as_they_were() -> None:
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [decode_rgb(PNG, LIMITS) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def photo(height: int = 600, width: int = 800) -> Image.Image:
    coarse = np.random.default_rng(3).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


PHOTO = {
    "baseline": encoded(photo(), "JPEG", quality=90),
    "progressive": encoded(photo(), "JPEG", quality=90, progressive=True),
    "grey": encoded(photo().convert("L"), "JPEG", quality=90),
    "CMYK": encoded(photo().convert("CMYK"), "JPEG", quality=90),
}


@pytest.mark.parametrize("kind", PHOTO)
@pytest.mark.parametrize(("px", "scale"), [(100, 8), (101, 4), (200, 4), (400, 2), (401, 1), (800, 1), (10_000, 1)])
def test_a_reduced_scale_shows_the_same_picture_with_its_full_size(kind: str, px: int, scale: int) -> None:
    reduced, full = decode_image(PHOTO[kind], LIMITS, px), decode_rgb(PHOTO[kind], LIMITS)
    assert reduced.pixels_u8.shape == (600 // scale, 800 // scale, 3)
    assert (reduced.width, reduced.height) == (800, 600)
    small = np.asarray(Image.fromarray(full).resize(reduced.pixels_u8.shape[1::-1], Image.Resampling.BOX))
    assert np.abs(small.astype(int) - reduced.pixels_u8).mean() < 1.5


@pytest.mark.parametrize("kind", PHOTO)
@pytest.mark.parametrize("frac", [0.3, 0.6, 0.9, 0.99])
def test_a_reduced_scale_still_sees_that_the_file_is_cut_short(kind: str, frac: float) -> None:
    data = PHOTO[kind]
    with pytest.raises(ImageRejectedError, match="truncated"):
        decode_image(data[: int(len(data) * frac)], LIMITS, 64)


@pytest.mark.parametrize("name", ["PNG", "WEBP", "GIF"])
def test_only_jpegs_have_a_reduced_scale(name: str) -> None:
    assert decode_image(encoded(photo(150, 200), name), LIMITS, 64).pixels_u8.shape == (150, 200, 3)


def test_a_turned_photograph_is_upright_at_a_reduced_scale_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(photo().rotate(90, expand=True), "JPEG", quality=95, exif=exif)
    got = decode_image(turned, LIMITS, 200)
    assert (got.width, got.height, got.pixels_u8.shape) == (800, 600, (150, 200, 3))
    expected = np.asarray(photo().resize((200, 150), Image.Resampling.BOX)).astype(int)
    assert np.abs(got.pixels_u8 - expected).mean() < 2


def test_the_first_frame_of_a_camera_pair_is_reduced() -> None:
    pair = encoded(photo(), "MPO", save_all=True, append_images=[photo(300, 400)])
    assert decode_image(pair, LIMITS, 100).pixels_u8.shape == (75, 100, 3)


def test_clear_parts_lie_on_the_stated_background() -> None:
    clear = encoded(Image.new("RGBA", (3, 2), (9, 9, 9, 0)), "PNG")
    got = decode_rgb(clear, replace(LIMITS, background=(10, 200, 30)))
    assert (got == [10, 200, 30]).all()


def test_views_keep_the_aspect_and_stretching_does_not() -> None:
    pixels = np.asarray(photo(60, 80))
    assert at_most(pixels, 40).shape == (30, 40, 3)
    assert at_most(pixels, 80) is pixels
    assert np.abs(at_most(pixels, 40) - pixels.reshape(30, 2, 40, 2, 3).mean(axis=(1, 3))).max() <= 1
    assert np.abs(stretched(pixels, 20) - pixels.reshape(20, 3, 20, 4, 3).mean(axis=(1, 3))).max() <= 1
    assert at_most(np.zeros((1, 3000, 3), np.uint8), 100).shape == (1, 100, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_whatever_bytes_are_damaged_the_answer_is_pixels_or_a_reason(kind: str) -> None:
    rng = np.random.default_rng(9)
    sound = encoded(photo(60, 80), kind)
    outcomes = set[str]()
    for trial in range(80):
        data = bytearray(sound)
        for place in rng.integers(0, len(data), 1 + trial % 8):
            data[place] = int(rng.integers(0, 256))
        try:
            decoded = decode_image(bytes(data[: len(data) - trial % 5 * 10]), LIMITS, 20)
            assert decoded.pixels_u8.dtype == np.uint8
            outcomes.add("pixels")
        except ImageRejectedError as refused:
            outcomes.add(refused.reason)
    assert outcomes <= {"pixels", *REASONS}
    assert len(outcomes) > 1
