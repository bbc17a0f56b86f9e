"""A benchmark's pictures, drawn one file after the other: whoever was stopped goes on with the next.

A file appears whole, under its name, or not at all. What was drawn, from which seeds and with which settings stands in
`drawn.json`; pictures of other settings are never mixed with them.
"""

import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from components.evaluation.benchmarks.suite import Picture

DRAWN, IMAGES = "drawn.json", "images"
_PART = ".part"
Draw = Callable[[str, int], Image.Image]
"""From a prompt and a seed to a drawing; the same again for the same two."""
Progress = Callable[[int, int], None]


def begin(folder: Path, settings: Mapping[str, Any], pictures: Sequence[Picture], told: Mapping[str, str]) -> None:
    """Write in `folder` what will be drawn; `told` is what is drawn for a prompt where that is not the prompt itself.

    Raises:
        ValueError: there are pictures in it that were drawn with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.rglob(f".*{_PART}"):  # of whoever was killed
        leftover.unlink()
    before, rows = drawn_before(folder)
    if before is not None and before != dict(settings) and any((folder / IMAGES).rglob("*.*")):
        changed = next(name for name in (*settings, *before) if before.get(name) != settings.get(name))
        raise ValueError(
            f"{folder}: its pictures were drawn with {changed} {before.get(changed)!r}, not {settings.get(changed)!r}; "
            "move it away, or draw them anew with --again"
        )
    kept = rows if before == dict(settings) else {}
    now = {
        picture.file: {
            "prompt": picture.case.prompt,
            "told": told.get(picture.case.prompt, picture.case.prompt),
            "seeds": list(picture.seeds),
        }
        for picture in pictures
    }
    content = {"settings": dict(settings), "pictures": kept | now}
    write_whole(folder / DRAWN, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def drawn_before(folder: Path) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The settings that the pictures in `folder` were drawn with, None where it tells none, and what each file is."""
    try:
        content = json.loads((folder / DRAWN).read_text(encoding="utf-8"))
        return dict(content["settings"]), dict(content["pictures"])
    except FileNotFoundError:
        return None, {}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / DRAWN}: damaged ({type(error).__name__}); move {folder} away") from error


def draw_missing(
    folder: Path, pictures: Sequence[Picture], told: Mapping[str, str], draw: Draw, on_progress: Progress
) -> int:
    """Draw every picture that is not there yet and write it below `images`; returns how many these were."""
    num_drawn = 0
    for number, picture in enumerate(pictures):
        file = folder / IMAGES / picture.file
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            if picture.note_file:
                write_whole(folder / IMAGES / picture.note_file, (picture.case.note + "\n").encode())
            text = told.get(picture.case.prompt, picture.case.prompt)
            _save(in_a_grid([draw(text, seed) for seed in picture.seeds]), file)
            num_drawn += 1
        on_progress(number + 1, len(pictures))
    return num_drawn


def drawings(folder: Path, picture: Picture) -> UInt8[np.ndarray, "k h w 3"]:
    """The drawings in a file, in the order of their seeds.

    Raises:
        ValueError: the file is not there or damaged; one line names it.
    """
    file = folder / IMAGES / picture.file
    try:
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("RGB"))
    except OSError as error:
        told = "missing" if isinstance(error, FileNotFoundError) else "damaged; delete it"
        raise ValueError(f"{file}: {told}; the same command draws it") from error
    side = isqrt(len(picture.seeds))
    rows = [part for row in np.split(pixels, side, axis=0) for part in np.split(row, side, axis=1)]
    return np.stack(rows)


def in_a_grid(images: Sequence[Image.Image]) -> Image.Image:
    """Images of one size in a square, row by row; one alone stays as it is."""
    side = isqrt(len(images))
    if side * side != len(images):
        raise ValueError(f"{len(images)} images do not fill a square; allowed: 1, 4, 9, ...")
    width, height = images[0].size
    grid = Image.new("RGB", (side * width, side * height))
    for number, image in enumerate(images):
        grid.paste(image, (number % side * width, number // side * height))
    return grid


def write_whole(file: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it: it is whole or not there."""
    handle, name = tempfile.mkstemp(prefix=f".{file.stem}-", suffix=_PART, dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _save(image: Image.Image, file: Path) -> None:
    stream = io.BytesIO()
    if file.suffix == ".webp":
        image.save(stream, "WEBP", lossless=True)
    else:
        image.save(stream, "PNG")
    write_whole(file, stream.getvalue())
