"""Pictures for benchmarks, made in code."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def photo_like(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Shapes at every scale with amplitudes that fall as in photographs (about 1 / frequency), and a little noise."""
    pixels = np.full((height, width, 3), 128.0)
    for cells in (4, 8, 16, 32, 64, 128):
        coarse = rng.normal(0, 1, (cells * height // width + 1, cells, 3)) * 160 / cells**0.5
        coarse = 0.7 * coarse.mean(axis=2, keepdims=True) + 0.3 * coarse
        levels = Image.fromarray(np.clip(coarse + 128, 0, 255).astype(np.uint8))
        pixels += np.asarray(levels.resize((width, height), Image.Resampling.BICUBIC), np.float64) - 128
    pixels += rng.normal(0, 2, (height, width, 1))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def write_folder(folder: Path, count: int, width: int, height: int) -> None:
    """`count` different JPEG files: a few pictures, moved round by ever more pixels."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    originals = [np.asarray(photo_like(rng, width, height)) for _ in range(8)]
    for number in range(count):
        moved = np.roll(originals[number % len(originals)], number, axis=1)
        (folder / f"{number:05d}.jpg").write_bytes(jpeg(Image.fromarray(moved), 85))
