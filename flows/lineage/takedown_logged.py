"""Which of MLflow's local artifacts show an image: pages, sheets and pictures that runs logged.

A page shows scaled copies, and a sheet is one picture of many: neither can be searched for bytes. So pages go by the
run that logged them, where the ledger knows what that run saw; a picture goes when it looks like the image.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.data.config import Likeness
from flows import settings
from flows.lineage.takedown_bytes import Wanted, holding, is_page, is_tensors
from flows.lineage.takedown_matches import limits_of

if TYPE_CHECKING:
    import pyarrow as pa

_MODELS = "models"
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"GIF8")
_SHOWN = (b"data:image/", b"<img")
_ALIKE = Likeness(max_hamming_bits=2, max_colour_distance=6.0, max_aspect_change=1.1, min_feature_cosine=None)
"""As `filter_images` tells near duplicates by default: what is one picture scaled or coded anew."""


@dataclass(frozen=True)
class Showing:
    """MLflow runs whose pages may show an image (`pages`), and those whose every picture may (`sheets`)."""

    pages: frozenset[str] = frozenset()
    sheets: frozenset[str] = frozenset()


def logged_files(root: Path, wanted: Wanted, showing: Showing, *, is_hit: bool) -> Iterator[Path]:
    """Files in MLflow's folder that show an image or hold its bytes or its rows.

    With a hit elsewhere every page that shows pictures, since older runs may not be in the ledger.
    """
    folder = settings.tracking_artifacts(root)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not is_tensors(path)]
    pictures = list[Path]()
    for file in files:
        parts = file.relative_to(folder).parts
        if is_page(file):
            is_gone = (is_hit or not showing.pages.isdisjoint(parts)) and _shows_pictures(file)
        elif is_picture(file):
            is_gone = not showing.sheets.isdisjoint(parts)
            pictures += [] if is_gone else [file]
        else:
            is_gone = False
        kind = "" if is_gone else holding(file, wanted)
        if is_gone or kind == "image" or (kind == "row" and _MODELS not in parts[:2]):
            yield file
    yield from _lookalikes(root, pictures, wanted)


def is_picture(file: Path) -> bool:
    """Whether the file begins as PNG, JPEG, WebP and GIF do."""
    with file.open("rb") as stream:
        return stream.read(8).startswith(_PICTURES)


def _shows_pictures(file: Path) -> bool:
    data = file.read_bytes()
    return any(mark in data for mark in _SHOWN)


def _lookalikes(root: Path, files: Collection[Path], wanted: Wanted) -> Iterator[Path]:
    """The pictures that are an image of `wanted` scaled or coded anew."""
    if not files or not wanted.images:
        return
    from components.data.decontamination import fingerprints, stands_in_evaluation

    limits = limits_of(root)
    asked = fingerprints(wanted.images.values(), limits)
    for file in files:  # one at a time: sheets are large
        looks: pa.Table = fingerprints([file.read_bytes()], limits)
        is_decoded = bool(looks.column("pixel_sha256")[0].as_py())
        if is_decoded and stands_in_evaluation(looks, asked, _ALIKE)[0]:
            yield file
