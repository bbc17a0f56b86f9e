"""Openclipart: which drawings may be taken, and the words their authors gave them (the RDF inside each SVG).

Taken: a plain file in one of ten pictorial folders whose RDF names the public domain as its licence, whose canvas is
within the pixel limit, which shows no file beside itself, and which holds no live text (its glyphs would come from
whatever fonts the machine has).
"""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from components.data.sources.render import links_files

TOP_FOLDERS = (
    "animals",
    "buildings",
    "education",
    "food",
    "office",
    "people",
    "plants",
    "recreation",
    "tools",
    "transportation",
)

MAX_CANVAS_PIXELS = 160_000_000
"""Largest declared canvas, in pixels at 90 dpi, Inkscape's of that time."""

_PUBLIC_DOMAIN = frozenset(
    {
        "http://web.resource.org/cc/publicdomain",
        "http://creativecommons.org/licenses/publicdomain",
    }
)
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_TEXT_TAGS = frozenset("{http://www.w3.org/2000/svg}" + name for name in ("text", "flowRoot"))
_PIXELS_PER_UNIT = {"": 1.0, "px": 1.0, "pt": 1.25, "pc": 15.0, "in": 90.0, "mm": 90 / 25.4, "cm": 90 / 2.54}


@dataclass(frozen=True)
class Drawing:
    """One SVG file's facts; `refusal` says why it is not taken, None if it is."""

    title: str | None
    tags: tuple[str, ...]
    description: str | None
    creator: str | None
    licences: tuple[str, ...]
    canvas_pixels: float
    links_files: bool
    has_text: bool

    @property
    def refusal(self) -> str | None:
        """Why the drawing is left out, the first reason that holds; None if it is taken."""
        if not self.licences or not all(is_public_domain(licence) for licence in self.licences):
            return "licence is not public domain"
        if not self.canvas_pixels <= MAX_CANVAS_PIXELS:
            return "canvas exceeds the pixel limit"
        if self.links_files:
            return "shows a file that is not inside it"
        if self.has_text:
            return "live text needs a font"
        return None


def is_public_domain(licence: str) -> bool:
    """Whether the RDF licence resource is one of the two names of the public domain that were in use."""
    return licence.lower().rstrip("/") in _PUBLIC_DOMAIN


def drawing_files(svg_dir: Path) -> list[Path]:
    """The SVG files of the pictorial folders, sorted; symbolic links repeat other files and are left out."""
    return sorted(
        path
        for folder in TOP_FOLDERS
        for path in (svg_dir / folder).rglob("*.svg")
        if path.is_file() and not path.is_symlink()
    )


def read_drawing(svg: str) -> Drawing:
    """The facts in one SVG document. ValueError if it is not XML."""
    try:
        root = ET.fromstring(svg)
    except ET.ParseError as error:
        raise ValueError(f"not an SVG document: {error}") from error
    work = next((node for node in root.iter() if node.tag.endswith("}Work")), ET.Element("none"))
    return Drawing(
        title=_text(work.find(f"{_DC}title")),
        tags=tuple(dict.fromkeys(tag for node in work.iterfind(f"{_DC}subject//{_RDF}li") if (tag := _text(node)))),
        description=_text(work.find(f"{_DC}description")),
        creator=_text(work.find(f"{_DC}creator//{_DC}title")),
        licences=tuple(
            node.get(f"{_RDF}resource", "") for node in work if node.tag.rpartition("}")[2].lower() == "license"
        ),
        canvas_pixels=_length(root.get("width")) * _length(root.get("height")),
        links_files=links_files(svg),
        has_text=any(node.tag in _TEXT_TAGS and "".join(node.itertext()).strip() for node in root.iter()),
    )


def _text(node: ET.Element | None) -> str | None:
    text = " ".join((node.text or "").split()) if node is not None else ""
    return text or None


def _length(value: str | None) -> float:
    """The length in pixels; 1 where it is missing or relative, infinity where it is not a length."""
    if value is None or value.strip().endswith("%"):
        return 1.0
    match = re.fullmatch(r"\s*([0-9.eE+-]+?)\s*(px|pt|pc|in|mm|cm|)\s*", value)
    try:
        return float(match.group(1)) * _PIXELS_PER_UNIT[match.group(2)] if match else math.inf
    except ValueError:
        return math.inf
