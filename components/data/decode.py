"""Bytes to RGB pixels, with every reason to refuse an image named.

The header is read first and the cheap refusals (format, size, animation, compression bombs) come before any pixel is
decoded. What is accepted always becomes uint8 sRGB: EXIF orientation applied, colour profiles converted, CMYK, 16-bit,
grey and palette images converted, what is clear laid over the limits' background. A warning of the decoder counts as
damage.

Where a small copy suffices, a JPEG is decoded at 1/2, 1/4 or 1/8: every coefficient is still read, so a file cut short
is still refused, but only the low frequencies become pixels. Whole JPEGs are decoded by OpenCV (`jpeg`), all else and
whatever OpenCV does not take by Pillow, whose word on damage is final.

Source: Wallace 1991, doi:10.1145/103085.103089 (JPEG); scaled decoding as libjpeg does it.
"""

import io
import struct
import threading
import warnings
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast, get_args

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms

from components.data import jpeg
from components.data.config import DecodeLimits

Reason = Literal[
    "empty",
    "too_many_bytes",
    "unsupported_format",
    "too_many_pixels",
    "compression_ratio",
    "animated",
    "truncated",
    "corrupt",
    "colour_profile",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
RATIO_FREE_BYTES = 1 << 20
_MAGIC = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"RIFF": "WEBP"}
_OPAQUE_MODE = {"RGBA": "RGB", "RGBa": "RGB", "PA": "RGB", "LA": "L", "La": "L", "1": "L"}
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDES_CHANGE = tuple(_UPRIGHT[orientation] for orientation in (5, 6, 7, 8))
_TRUNCATION_WORDS = ("truncated", "unexpected end", "eof", "incomplete")


class ImageRejectedError(ValueError):
    """An image that is not decoded, with a `reason` from a closed list and a `detail` for the person who looks."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


@dataclass(frozen=True)
class DecodedImage:
    """Pixels in sRGB, what the file said it was, and its full size upright (the pixels may be at a reduced scale)."""

    pixels_u8: UInt8[np.ndarray, "h w 3"]
    format: str
    mode: str
    width: int
    height: int


def decode_image(data: bytes, limits: DecodeLimits, at_least_px: int | None = None) -> DecodedImage:
    """Decode `data` to sRGB, first frame upright; raises `ImageRejectedError` with the reason.

    With `at_least_px`, a JPEG is decoded at the smallest scale whose longer side has at least so many pixels, and other
    formats at full size. The scale depends on the size alone: equal pictures stay equal.
    """
    named = _sniff(data, limits)
    with _pillow_warnings_are_errors():
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_header(image, len(data), limits)
                mode, (width, height) = image.mode, image.size
                turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
                if turn in _SIDES_CHANGE:
                    width, height = height, width
                pixels = _upright_rgb(image, data, turn, at_least_px, limits.background)
        except ImageRejectedError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ImageRejectedError("too_many_pixels", str(error)) from error
        except Exception as error:  # hostile bytes make decoders raise anything, from struct.error to MemoryError
            raise _damage(error, data, named) from error
    return DecodedImage(pixels, named, mode, width, height)


def decode_rgb(data: bytes, limits: DecodeLimits) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels of `data` in sRGB at full size, upright; raises `ImageRejectedError` with the reason."""
    return decode_image(data, limits).pixels_u8


def decode_square(data: bytes, px: int, limits: DecodeLimits) -> UInt8[np.ndarray, "{px} {px} 3"]:
    """The whole image centred on a white square and averaged over areas (box filter) to `px` by `px`.

    A JPEG is decoded at the smallest scale that has twice the side: enough to average from.
    """
    return square(decode_image(data, limits, 2 * px).pixels_u8, px)


def decode_squares(images: Iterable[bytes], px: int, limits: DecodeLimits) -> UInt8[np.ndarray, "n {px} {px} 3"]:
    """`decode_square` of each of `images`, stacked; at least one."""
    return np.stack([decode_square(data, px, limits) for data in images])


def square(pixels_u8: UInt8[np.ndarray, "h w 3"], px: int) -> UInt8[np.ndarray, "{px} {px} 3"]:
    """`pixels_u8` centred on a white square and averaged over areas to `px` by `px`."""
    if px < 1:
        raise ValueError(f"px is {px}; allowed: 1 or more")
    height, width = pixels_u8.shape[:2]
    side = max(height, width)
    if height != width:
        canvas = np.full((side, side, 3), 255, np.uint8)
        top, left = (side - height) // 2, (side - width) // 2
        canvas[top : top + height, left : left + width] = pixels_u8
        pixels_u8 = canvas
    if side == px:
        return pixels_u8
    return np.asarray(Image.fromarray(pixels_u8).resize((px, px), Image.Resampling.BOX))


def at_most(pixels_u8: UInt8[np.ndarray, "h w 3"], px: int) -> UInt8[np.ndarray, "h2 w2 3"]:
    """`pixels_u8` averaged over areas until the longer side has at most `px`; never enlarged."""
    height, width = pixels_u8.shape[:2]
    if max(height, width) <= px:
        return pixels_u8
    return _averaged(pixels_u8, _within(width, height, px))


def stretched(pixels_u8: UInt8[np.ndarray, "h w 3"], px: int) -> UInt8[np.ndarray, "{px} {px} 3"]:
    """The whole picture brought to `px` by `px` whatever its aspect, averaged over areas: no border is invented."""
    return pixels_u8 if pixels_u8.shape[:2] == (px, px) else _averaged(pixels_u8, (px, px))


def named_format(name: str) -> str:
    """The format that a file name's ending promises ("" where it promises none that we read)."""
    ending = name.rsplit(".", 1)[-1].lower() if "." in name else ""
    return {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP", "gif": "GIF"}.get(ending, "")


def _sniff(data: bytes, limits: DecodeLimits) -> str:
    """The format by the first bytes, whatever the file was called."""
    if not data:
        raise ImageRejectedError("empty", "0 bytes")
    if len(data) > limits.max_bytes:
        raise ImageRejectedError("too_many_bytes", f"{len(data)} bytes; allowed: {limits.max_bytes}")
    for magic, name in _MAGIC.items():
        if data.startswith(magic) and (name != "WEBP" or data[8:12] == b"WEBP"):
            return name
    raise ImageRejectedError("unsupported_format", f"starts with {data[:8].hex()}; allowed: {', '.join(FORMATS)}")


def _check_header(image: Image.Image, num_bytes: int, limits: DecodeLimits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise ImageRejectedError("too_many_pixels", f"{width}x{height} pixels; allowed: {limits.max_pixels}")
    # MPO is a JPEG with a preview or second view behind the picture: its first frame is the photograph.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise ImageRejectedError("animated", f"{getattr(image, 'n_frames', 0)} frames; allowed: 1")
    decoded_bytes = 3 * width * height
    if decoded_bytes > max(RATIO_FREE_BYTES, limits.max_ratio * num_bytes):
        ratio = decoded_bytes / num_bytes
        raise ImageRejectedError(
            "compression_ratio", f"{ratio:.0f} decoded bytes per stored byte; allowed: {limits.max_ratio}"
        )


def _averaged(pixels_u8: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "h2 w2 3"]:
    """`pixels_u8` at another width and height: averages of areas, or where it must grow, its pixels larger."""
    grows = size[0] > pixels_u8.shape[1] or size[1] > pixels_u8.shape[0]
    if grows:  # OpenCV would interpolate
        return np.asarray(Image.fromarray(pixels_u8).resize(size, Image.Resampling.BOX))
    return cv2.resize(pixels_u8, size, interpolation=cv2.INTER_AREA)


def _upright_rgb(
    image: Image.Image,
    data: bytes,
    turn: Image.Transpose | None,
    at_least_px: int | None,
    background: tuple[int, int, int],
) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of `image`, opened from `data`: at the scale that suffices, turned upright, in sRGB."""
    longer = max(image.size)
    small = _within(*image.size, longer if at_least_px is None else min(at_least_px, longer))
    profile = image.info.get("icc_profile")
    # A grey profile is for grey pixels, and four channels are Pillow's to convert.
    is_quick = image.format in ("JPEG", "MPO") and (image.mode == "RGB" or (image.mode == "L" and not profile))
    pixels = jpeg.decode_whole(data, _scale(image.size, small)) if is_quick else None
    if pixels is None:
        image.draft(None, small)
    elif turn is None and not profile:
        return pixels
    else:
        image = Image.fromarray(pixels)
        image.info["icc_profile"] = profile
    return np.asarray(_to_rgb(image if turn is None else image.transpose(turn), background))


def _scale(size: tuple[int, int], small: tuple[int, int]) -> int:
    """The strongest reduction, of 1, 2, 4 and 8, that leaves at least `small` of `size`; what `draft` takes."""
    return next(scale for scale in (8, 4, 2, 1) if scale <= min(size[0] // small[0], size[1] // small[1]))


def _within(width: int, height: int, px: int) -> tuple[int, int]:
    """Width and height in the same aspect with `px` as the longer side."""
    longer = max(width, height)
    return max(1, width * px // longer), max(1, height * px // longer)


def _damage(error: Exception, data: bytes, named: str) -> ImageRejectedError:
    """The refusal for an exception of the decoder: cut short, or damaged in another way."""
    detail = f"{named}: {type(error).__name__}: {' '.join(str(error).split())[:120]}"
    is_short = isinstance(error, EOFError) or any(word in str(error).lower() for word in _TRUNCATION_WORDS)
    return ImageRejectedError("truncated" if is_short or _declares_more(data, named) else "corrupt", detail)


def _declares_more(data: bytes, named: str) -> bool:
    """True where the container itself says that bytes are missing at the end."""
    match named:
        case "WEBP":
            return len(data) < 12 or struct.unpack("<I", data[4:8])[0] + 8 > len(data)
        case "PNG":
            return b"IEND" not in data[-16:]
        case "JPEG":
            return b"\xff\xd9" not in data[-64:]
        case _:
            return not data.endswith(b";")


def _to_rgb(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    if image.mode.startswith("I"):
        image = _sixteen_bit_to_grey(image)
    elif image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    alpha = _alpha(image)
    colour = _to_srgb(image)
    if alpha is None:
        return colour
    ground = Image.new("RGB", colour.size, background)
    ground.paste(colour, mask=alpha)
    return ground


def _sixteen_bit_to_grey(image: Image.Image) -> Image.Image:
    # Pillow's own conversion clips at 255 instead of scaling: 16-bit pictures would come out white.
    values = np.asarray(image).astype(np.int64)
    grey = Image.fromarray(np.clip((values + 128) // 257, 0, 255).astype(np.uint8))
    grey.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return grey


def _alpha(image: Image.Image) -> Image.Image | None:
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        return image.convert("RGBA").getchannel("A")
    if "transparency" in image.info:  # one colour of an RGB or grey PNG is declared clear
        return image.convert("RGBA").getchannel("A")
    return None


def _to_srgb(image: Image.Image) -> Image.Image:
    """Colours in sRGB; an embedded profile is applied, none means sRGB already."""
    profile = cast(bytes | None, image.info.get("icc_profile"))
    opaque = image.convert(_OPAQUE_MODE.get(image.mode, image.mode))
    if not profile:
        return opaque.convert("RGB")
    try:
        converted = ImageCms.applyTransform(opaque, _transform(profile, opaque.mode))
    except (ImageCms.PyCMSError, OSError) as error:
        raise ImageRejectedError("colour_profile", f"{image.mode} image: {str(error)[:120]}") from error
    return cast(Image.Image, converted)


@lru_cache(maxsize=64)  # cameras share few profiles, and to compute a transform costs more than to apply it
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    srgb = ImageCms.ImageCmsProfile(cast(Any, ImageCms).createProfile("sRGB"))
    return ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb, mode, "RGB")


_warnings_lock = threading.Lock()
_warnings_depth = 0
_strict_filters = ExitStack()


@contextmanager
def _pillow_warnings_are_errors() -> Generator[None]:
    """Warnings raised in Pillow become errors while any thread decodes.

    `warnings.catch_warnings` alone is not safe in threads: two that overlap restore each other's filters. So the first
    to enter sets the filter and the last to leave restores it.
    """
    global _warnings_depth
    with _warnings_lock:
        if _warnings_depth == 0:
            _strict_filters.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("error", module=r"PIL\.")
        _warnings_depth += 1
    try:
        yield
    finally:
        with _warnings_lock:
            _warnings_depth -= 1
            if _warnings_depth == 0:
                _strict_filters.close()
