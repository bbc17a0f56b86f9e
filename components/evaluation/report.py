"""The report: `report.json` for machines, one self-contained page for people, and a contact sheet.

Captions are other people's text: the page is rendered with escaping on, loads nothing, and holds no script.
"""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, StrictUndefined
from PIL import Image, ImageDraw, ImageFont

from components.evaluation.page import TEMPLATE

Unit = Literal["share", "distance"]


@dataclass(frozen=True)
class Row:
    """One score of one split; `key` names it for machines, `name` for people.

    A `share` lies in [0, 1] and more is better; a `distance` is better when smaller.
    """

    split: str
    key: str
    name: str
    unit: Unit
    value: float
    low: float
    high: float
    chance: float
    real: float
    explanation: str


@dataclass(frozen=True)
class Example:
    """A prompt, what was drawn for it, and the real image that was held out."""

    prompt: str
    generated_u8: UInt8[np.ndarray, "h w 3"]
    real_u8: UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class Section:
    """What one split asks, its scores and some examples."""

    split: str
    title: str
    question: str
    num_prompts: int
    rows: Sequence[Row]
    examples: Sequence[Example]


def write_report(out: Path, sections: Sequence[Section], facts: dict[str, Any], credits: Sequence[str]) -> None:
    """Make the directory `out` with `report.json`, `index.html` and `samples.png`; `credits` name the real images."""
    out.mkdir(parents=True)
    rows = [asdict(row) for section in sections for row in section.rows]
    splits = {section.split: section.num_prompts for section in sections}
    prompts = [example.prompt for section in sections for example in section.examples]
    content = {"facts": facts, "num_prompts": splits, "rows": rows, "prompts": prompts}
    (out / "report.json").write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    (out / "index.html").write_text(render_page(sections, facts, credits), encoding="utf-8")
    examples = [example for section in sections for example in section.examples]
    Image.fromarray(contact_sheet(examples[:24])).save(out / "samples.png", optimize=True)


def render_page(sections: Sequence[Section], facts: dict[str, Any], credits: Sequence[str]) -> str:
    """The page as HTML."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"png": png_data_uri, "number": _number, "percent": _percent, "fact": _fact}
    page = environment.from_string(TEMPLATE).render(sections=sections, facts=facts, credits=credits)
    return "\n".join(line for line in page.splitlines() if line.strip()) + "\n"


def _number(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _fact(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return _number(value) if isinstance(value, float) else str(value)


def png_data_uri(image_u8: UInt8[np.ndarray, "h w 3"]) -> str:
    """The image as a `data:` address, so that the page needs no other file."""
    buffer = io.BytesIO()
    Image.fromarray(image_u8).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def read_png(file: Path) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of a picture that this module wrote."""
    with Image.open(file) as image:
        return np.array(image.convert("RGB"))


def contact_sheet(
    examples: Sequence[Example], columns: int = 8, side_px: int = 128
) -> UInt8[np.ndarray, "height width 3"]:
    """The generated images in a grid on white, each over the first words of its prompt."""
    gap, text_px = 12, 30
    num_rows = max(1, -(-len(examples) // columns))
    size = (columns * (side_px + gap) + gap, num_rows * (side_px + text_px + gap) + gap)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for index, example in enumerate(examples):
        x, y = gap + index % columns * (side_px + gap), gap + index // columns * (side_px + text_px + gap)
        image = Image.fromarray(example.generated_u8).resize((side_px, side_px), Image.Resampling.BICUBIC)
        sheet.paste(image, (x, y))
        for number, line in enumerate(_wrapped(example.prompt, font, side_px)):
            draw.text((x, y + side_px + 3 + 13 * number), line, fill="#444444", font=font)
    return np.asarray(sheet)


def _wrapped(text: str, font: Any, width_px: int, num_lines: int = 2) -> list[str]:
    """`text` in at most two lines of `width_px`, the last one cut where it must be."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width_px or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    shown = lines[:num_lines]
    while shown[-1] and font.getlength(shown[-1]) > width_px:
        shown[-1] = shown[-1][:-1]
    return shown
