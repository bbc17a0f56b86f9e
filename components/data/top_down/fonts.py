"""Fonts on this machine: found by file name, named by the SHA-256 of their bytes, asked which characters they can draw.

The fonts that come with matplotlib (DejaVu, STIX: free to use and to embed) are on every machine that has the lock
installed; Chinese needs a font of the system's.
"""

import hashlib
import struct
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

from components.data.errors import DataError
from components.data.top_down.config import FontChoice

_SYSTEM_FOLDERS = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path.home() / ".local/share/fonts",
    Path("/Library/Fonts"),
    Path("/System/Library/Fonts"),
    Path("C:/Windows/Fonts"),
)


@dataclass(frozen=True)
class Font:
    """A font file: its name, where it lies, what its bytes are, and the code points that its face has glyphs for."""

    name: str
    file: Path
    face: int
    sha256: str
    code_points: frozenset[int]

    def can_draw(self, text: str) -> bool:
        """Whether every character of `text` has a glyph; spaces need none."""
        return all(ord(char) in self.code_points for char in unicodedata.normalize("NFC", text) if not char.isspace())

    def at(self, size_px: int) -> ImageFont.FreeTypeFont:
        """The font at a size, laid out character by character, which is the same on every machine."""
        return _at_size(self.file, self.face, size_px)


def find_fonts(choices: Sequence[FontChoice], folders: Sequence[Path] | None = None) -> list[Font]:
    """The fonts that are here, in the order of `choices`.

    Raises:
        DataError: a required one is missing, or a file is not the one that its SHA-256 names.
    """
    places = list(_folders()) if folders is None else list(folders)
    found = [(choice, _find(choice.file, places)) for choice in choices]
    missing = [choice.file for choice, file in found if file is None and choice.required]
    if missing:
        raise DataError(f"font {missing[0]} is not on this machine; install requirements.lock, or name another font")
    return [_open(choice, file) for choice, file in found if file is not None]


def read_code_points(data: bytes, face: int = 0) -> frozenset[int]:
    """The code points that a TrueType or OpenType font (number `face` of a collection) maps to a glyph other than 0.

    Source: OpenType 1.9.1, table `cmap`, formats 4 and 12.
    """
    try:
        table = _cmap(data, face)
        records = [struct.unpack_from(">HHI", data, table + 4 + 8 * n) for n in range(_u16(data, table + 2))]
        unicode = [table + offset for platform, encoding, offset in records if (platform, encoding) in _UNICODE]
        return frozenset[int]().union(
            *(_READERS[_u16(data, at)](data, at) for at in unicode if _u16(data, at) in (4, 12))
        )
    except struct.error as error:
        raise DataError(f"not a whole TrueType or OpenType font ({error}); take another font file") from error


_UNICODE = {(0, 3), (0, 4), (3, 1), (3, 10)}


def _cmap(data: bytes, face: int) -> int:
    start = struct.unpack_from(">I", data, 12 + 4 * face)[0] if data[:4] == b"ttcf" else 0
    for record in range(_u16(data, start + 4)):
        tag, _, offset, _ = struct.unpack_from(">4sIII", data, start + 12 + 16 * record)
        if tag == b"cmap":
            return offset
    raise DataError("a font without a table of characters (cmap); take another font file")


def _format_4(data: bytes, at: int) -> set[int]:
    count = _u16(data, at + 6) // 2
    ends, starts, deltas, offsets = (
        struct.unpack_from(f">{count}H", data, at + 14 + skip)
        for skip in (0, 2 * count + 2, 4 * count + 2, 6 * count + 2)
    )
    first_offset = at + 16 + 6 * count
    return {
        code
        for n in range(count)
        for code in range(starts[n], min(ends[n], 0xFFFE) + 1)
        if _glyph_4(data, code, starts[n], deltas[n], offsets[n], first_offset + 2 * n)
    }


def _glyph_4(data: bytes, code: int, start: int, delta: int, offset: int, at: int) -> int:
    if offset == 0:
        return (code + delta) & 0xFFFF
    glyph = _u16(data, at + offset + 2 * (code - start))
    return (glyph + delta) & 0xFFFF if glyph else 0


def _format_12(data: bytes, at: int) -> set[int]:
    groups = struct.unpack_from(">I", data, at + 12)[0]
    rows = (struct.unpack_from(">III", data, at + 16 + 12 * n) for n in range(groups))
    return {code for start, end, glyph in rows for code in range(start, end + 1) if glyph + code - start}


_READERS = {4: _format_4, 12: _format_12}


def _u16(data: bytes, at: int) -> int:
    return struct.unpack_from(">H", data, at)[0]


def _folders() -> Iterable[Path]:
    # Asked for its place only, never imported: the fonts are files beside the package.
    spec = find_spec("matplotlib")
    for package in (spec.submodule_search_locations or []) if spec else []:
        yield Path(package) / "mpl-data/fonts/ttf"
    yield from _SYSTEM_FOLDERS


def _find(name: str, folders: Sequence[Path]) -> Path | None:
    if Path(name).name != name:
        raise DataError(f"font {name!r} must be a file name without a folder")
    return next((file for folder in folders if folder.is_dir() for file in sorted(folder.rglob(name))), None)


@lru_cache(maxsize=32)
def _read(file: Path, face: int) -> tuple[str, frozenset[int]]:
    data = file.read_bytes()
    return hashlib.sha256(data).hexdigest(), read_code_points(data, face)


def _open(choice: FontChoice, file: Path) -> Font:
    sha256, code_points = _read(file, choice.face)
    if choice.sha256 not in (None, sha256):
        raise DataError(
            f"font {file} has SHA-256 {sha256}, not {choice.sha256} as the parameters say; "
            "install requirements.lock, or write this one into the parameters"
        )
    return Font(choice.file, file, choice.face, sha256, code_points)


@lru_cache(maxsize=256)
def _at_size(file: Path, face: int, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size_px, index=face, layout_engine=ImageFont.Layout.BASIC)
