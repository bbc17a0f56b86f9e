"""Images with words on them, spelled right: what is to be written and how, and the drawing of it.

A `Specification` says everything that an image shows, so the caption can say it exactly. Words are drawn only with
fonts that have a glyph for every character, in colours that stand out from the ground.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from components.data.errors import DataError
from components.data.top_down.config import Layout, Lettering
from components.data.top_down.fonts import Font
from components.data.top_down.words import WRITINGS

Colour = tuple[int, int, int]
PALETTE: Mapping[str, Colour] = {
    "red": (196, 30, 42),
    "orange": (240, 138, 20),
    "yellow": (252, 212, 46),
    "green": (22, 120, 62),
    "blue": (24, 72, 168),
    "purple": (96, 42, 140),
    "pink": (250, 184, 204),
    "brown": (104, 62, 34),
    "black": (20, 20, 22),
    "white": (252, 252, 250),
    "grey": (92, 96, 102),
}
_SHARPER = 4  # drawn at so many times the size, then brought down: smooth edges
_ASIDE = (232, 228, 220)  # what lies around a board, a label or a badge
_POST = (122, 112, 100)
_MIN_SIZE_FRAC = 0.09  # of the side: smaller letters would not be read


@dataclass(frozen=True)
class Specification:
    """All that one image shows.

    Args:
        layout: how the words are placed.
        lines: the exact strings, from top to bottom.
        languages: the language of each line.
        fonts: the font of each line, by file name.
        ink: the letters' colour, by name.
        paper: the colour behind the letters, by name.
    """

    layout: Layout
    lines: tuple[str, ...]
    languages: tuple[str, ...]
    fonts: tuple[str, ...]
    ink: str
    paper: str


def contrast(one: Colour, other: Colour) -> float:
    """How far two colours stand out from each other, from 1 to 21.

    Source: WCAG 2.2, contrast ratio and relative luminance.
    """
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def colour_pairs(min_contrast: float) -> list[tuple[str, str]]:
    """(letters, ground) by name, of at least `min_contrast`; ValueError if there is none."""
    pairs = [
        (ink, paper) for ink in PALETTE for paper in PALETTE if contrast(PALETTE[ink], PALETTE[paper]) >= min_contrast
    ]
    if not pairs:
        raise ValueError(f"min_contrast is {min_contrast}; allowed: from 1 to about 18")
    return pairs


def make_specifications(
    number: int, lettering: Lettering, fonts: Sequence[Font], chinese_fonts: Sequence[Font], seed: int
) -> list[Specification]:
    """`number` different specifications, the layouts in turn; without a Chinese font all of them are English.

    Raises:
        DataError: there are not so many different ones, or no font can draw a word.
    """
    layouts: list[Layout] = [layout for layout in lettering.layouts if chinese_fonts or layout != "bilingual sign"]
    if not layouts or not fonts:
        raise DataError("render_text has no layout or no font left to draw with; name at least one of each")
    pairs = colour_pairs(lettering.min_contrast)
    made: dict[Specification, None] = {}
    for attempt in range(20 * number):
        rng = np.random.default_rng([seed, attempt])
        layout = layouts[len(made) % len(layouts)]
        made[_specification(layout, pairs, fonts, chinese_fonts, rng)] = None
        if len(made) == number:
            return list(made)
    raise DataError(f"only {len(made)} different images with text can be made of {number}; add fonts or ask for fewer")


def draw(specification: Specification, fonts: Mapping[str, Font], px: int) -> UInt8[np.ndarray, "px px 3"]:
    """The image of a specification; `fonts` by file name. DataError if a font lacks a character."""
    for line, name in zip(specification.lines, specification.fonts, strict=True):
        if not fonts[name].can_draw(line):
            raise DataError(f"font {name} has no glyph for a character of {line!r}; take another font")
    side = px * _SHARPER
    canvas = _Canvas(side, specification, [fonts[name] for name in specification.fonts])
    _DRAWERS[specification.layout](canvas)
    return np.asarray(canvas.image.reduce(_SHARPER))


def contact_sheet(images: Sequence[UInt8[np.ndarray, "px px 3"]], columns: int) -> UInt8[np.ndarray, "h w 3"]:
    """The images side by side, row by row; the last row is filled up with white."""
    missing = -len(images) % columns
    filled = [*images, *[np.full_like(images[0], 255)] * missing]
    return np.vstack([np.hstack(filled[n : n + columns]) for n in range(0, len(filled), columns)])


def _specification(
    layout: Layout,
    pairs: Sequence[tuple[str, str]],
    fonts: Sequence[Font],
    chinese_fonts: Sequence[Font],
    rng: np.random.Generator,
) -> Specification:
    number = 2 if layout in ("poster", "banner") else 1
    writings = [WRITINGS[row] for row in rng.choice(len(WRITINGS), number, replace=False)]
    if layout == "bilingual sign":
        lines, languages = (writings[0][1], writings[0][0]), ("zh", "en")
    elif chinese_fonts and rng.random() < 1 / 3:
        lines, languages = tuple(zh for _, zh in writings), ("zh",) * number
    else:
        lines, languages = tuple(en for en, _ in writings), ("en",) * number
    of_language = {"en": fonts, "zh": chinese_fonts}
    numbers = {language: int(rng.integers(len(of_language[language]))) for language in dict.fromkeys(languages)}
    ink, paper = pairs[int(rng.integers(len(pairs)))]
    names = tuple(of_language[language][numbers[language]].name for language in languages)
    return Specification(layout, lines, languages, names, ink, paper)


class _Canvas:
    """An image being drawn: its side, the specification, and the fonts of the lines."""

    def __init__(self, side: int, specification: Specification, fonts: Sequence[Font]) -> None:
        self.side, self.lines, self.fonts = side, specification.lines, fonts
        self.ink, self.paper = PALETTE[specification.ink], PALETTE[specification.paper]
        self.image = Image.new("RGB", (side, side), _ASIDE)
        self.pen = ImageDraw.Draw(self.image)

    def at(self, *fractions: float) -> tuple[float, ...]:
        """Fractions of the side as pixels."""
        return tuple(fraction * self.side for fraction in fractions)

    def write(self, line: int, box: tuple[float, float, float, float]) -> None:
        """Line number `line` as large as fits in `box` (fractions), in one row or, where that is larger, in two."""
        left, top, right, bottom = self.at(*box)
        rows, font = _fitting(self.lines[line], self.fonts[line], right - left, bottom - top, self.side)
        middle, step = (top + bottom) / 2, _ROW_STEP * font.size
        for number, row in enumerate(rows):
            y = middle + (number - (len(rows) - 1) / 2) * step
            self.pen.text(((left + right) / 2, _centred(font, row, y)), row, fill=self.ink, font=font, anchor="ms")

    def frame(self, box: tuple[float, float, float, float], width: float, radius: float = 0.0) -> None:
        """A line of the letters' colour along `box` (fractions)."""
        self.pen.rounded_rectangle(
            self.at(*box), radius=radius * self.side, outline=self.ink, width=round(width * self.side)
        )


_ROW_STEP = 1.12


def _fitting(text: str, font: Font, width: float, height: float, side: int) -> tuple[list[str], ImageFont.FreeTypeFont]:
    """The rows of `text` and the largest font that fits; DataError if it would be too small to read."""
    candidates = [[text], *_broken(text)]
    sizes = [_largest_size(rows, font, width, height) for rows in candidates]
    best = int(np.argmax(sizes))
    if sizes[best] < _MIN_SIZE_FRAC * side:
        raise DataError(f"{text!r} does not fit legibly in its place; write less")
    return candidates[best], font.at(sizes[best])


def _broken(text: str) -> list[list[str]]:
    words = text.split()
    return [[" ".join(words[:n]), " ".join(words[n:])] for n in range(1, len(words))]


def _largest_size(rows: Sequence[str], font: Font, width: float, height: float) -> int:
    probe = font.at(100)
    widest = max(probe.getlength(row) for row in rows)
    tall = 100 * _ROW_STEP * len(rows)
    return int(100 * min(width / widest, height / tall))


def _centred(font: ImageFont.FreeTypeFont, row: str, y: float) -> float:
    """The baseline that puts the middle of the row's ink at `y`."""
    _, top, _, bottom = font.getbbox(row, anchor="ls")
    return y - (top + bottom) / 2


def _luminance(colour: Colour) -> float:
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def _poster(canvas: _Canvas) -> None:
    canvas.pen.rectangle(canvas.at(0, 0, 1, 1), fill=canvas.paper)
    canvas.write(0, (0.08, 0.08, 0.92, 0.52))
    canvas.pen.rectangle(canvas.at(0.2, 0.585, 0.8, 0.61), fill=canvas.ink)
    canvas.write(1, (0.12, 0.68, 0.88, 0.9))


def _sign(canvas: _Canvas) -> None:
    canvas.pen.rectangle(canvas.at(0.47, 0.7, 0.53, 1), fill=_POST)
    canvas.pen.rounded_rectangle(canvas.at(0.04, 0.16, 0.96, 0.76), radius=0.06 * canvas.side, fill=canvas.paper)
    canvas.frame((0.07, 0.19, 0.93, 0.73), 0.014, 0.045)
    canvas.write(0, (0.12, 0.24, 0.88, 0.68))


def _label(canvas: _Canvas) -> None:
    corners = ((0.03, 0.5), (0.2, 0.22), (0.97, 0.22), (0.97, 0.78), (0.2, 0.78))
    canvas.pen.polygon([canvas.at(*corner) for corner in corners], fill=canvas.paper)
    canvas.pen.ellipse(canvas.at(0.1, 0.46, 0.18, 0.54), fill=_ASIDE)
    canvas.write(0, (0.24, 0.28, 0.92, 0.72))


def _banner(canvas: _Canvas) -> None:
    canvas.pen.rectangle(canvas.at(0, 0.14, 1, 0.86), fill=canvas.paper)
    for y in (0.175, 0.815):
        canvas.pen.rectangle(canvas.at(0, y, 1, y + 0.012), fill=canvas.ink)
    canvas.write(0, (0.06, 0.21, 0.94, 0.49))
    canvas.write(1, (0.06, 0.53, 0.94, 0.79))


def _notice(canvas: _Canvas) -> None:
    canvas.pen.rectangle(canvas.at(0, 0, 1, 1), fill=canvas.paper)
    canvas.frame((0.06, 0.06, 0.94, 0.94), 0.03)
    canvas.frame((0.11, 0.11, 0.89, 0.89), 0.008)
    canvas.write(0, (0.16, 0.18, 0.84, 0.82))


def _bilingual(canvas: _Canvas) -> None:
    canvas.pen.rounded_rectangle(canvas.at(0.04, 0.12, 0.96, 0.88), radius=0.05 * canvas.side, fill=canvas.paper)
    canvas.write(0, (0.1, 0.17, 0.9, 0.53))
    canvas.pen.rectangle(canvas.at(0.16, 0.565, 0.84, 0.575), fill=canvas.ink)
    canvas.write(1, (0.1, 0.61, 0.9, 0.83))


def _badge(canvas: _Canvas) -> None:
    """A disc with the words along its upper rim: each letter is turned to stand on the arc."""
    canvas.pen.ellipse(canvas.at(0.02, 0.02, 0.98, 0.98), fill=canvas.paper)
    canvas.pen.ellipse(canvas.at(0.32, 0.32, 0.68, 0.68), outline=canvas.ink, width=round(0.015 * canvas.side))
    text, radius, widest = canvas.lines[0], 0.26 * canvas.side, 1.5 * math.pi
    probe = canvas.fonts[0].at(100)
    size = int(min(0.24 * canvas.side, 100 * widest * radius / probe.getlength(text)))
    if size < _MIN_SIZE_FRAC * canvas.side:
        raise DataError(f"{text!r} does not fit legibly on a badge; write less")
    font = canvas.fonts[0].at(size)
    for letter, angle in zip(text, _angles(text, font, radius), strict=True):
        _stamp(canvas, letter, font, radius, angle)


def _angles(text: str, font: ImageFont.FreeTypeFont, radius: float) -> list[float]:
    """The angle of each letter's middle from the top, clockwise."""
    starts = [font.getlength(text[:n]) for n in range(len(text) + 1)]
    return [((a + b) / 2 - starts[-1] / 2) / radius for a, b in pairwise(starts)]


def _stamp(canvas: _Canvas, letter: str, font: ImageFont.FreeTypeFont, radius: float, angle: float) -> None:
    side = int(2.5 * font.size) + 1
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).text((side / 2, side / 2), letter, fill=255, font=font, anchor="ms")
    turned = mask.rotate(-math.degrees(angle), resample=Image.Resampling.BICUBIC)
    x, y = (canvas.side / 2 + radius * math.sin(angle), canvas.side / 2 - radius * math.cos(angle))
    canvas.image.paste(canvas.ink, (round(x - side / 2), round(y - side / 2)), turned)


_DRAWERS = {
    "poster": _poster,
    "sign": _sign,
    "label": _label,
    "banner": _banner,
    "badge": _badge,
    "notice": _notice,
    "bilingual sign": _bilingual,
}
