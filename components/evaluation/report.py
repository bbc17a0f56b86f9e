"""The report: `report.json` for machines, one self-contained page for people, and two sheets of samples.

Captions are other people's text: the page is rendered with escaping on, loads nothing, and holds no script.
"""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, StrictUndefined
from PIL import Image, ImageDraw, ImageFont

from components.evaluation.comparison import Guard, Row, Unit, WinRate
from components.evaluation.costs import Cost
from components.evaluation.drift import KEEPS, KEEPS_DIVERSITY, TITLES
from components.evaluation.page import TEMPLATE
from components.evaluation.worst import WorstOf
from components.models.training_record import Drift

LABELS = {"base": "pre-trained", "sft": "SFT", "dpo": "DPO", "turbo": "Turbo"}
ENHANCED = "_enhanced"
"""What the name of a model ends with where the prompt enhancer told it what to draw."""
SHOWN_ON_SHEETS = 24
RELEASED_STEPS = 50


@dataclass(frozen=True)
class Example:
    """A prompt, what each model drew for it from the same noise, and the real image that was held out."""

    prompt: str
    generated_u8: Mapping[str, UInt8[np.ndarray, "h w 3"]]
    real_u8: UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class Section:
    """What a set of prompts asks, the models' scores and some examples; by score who is ahead, None for nobody."""

    split: str
    title: str
    question: str
    num_prompts: int
    rows: Sequence[Row]
    examples: Sequence[Example]
    winners: Mapping[str, str | None] = field(default_factory=dict[str, str | None])


@dataclass(frozen=True)
class FewStepDrift:
    """What a distilled model kept of its teacher, by domain; its looks as a chart; its evaluations for one image."""

    rows: Sequence[Drift]
    chart_u8: UInt8[np.ndarray, "height width 3"]
    num_evaluations: int

    @property
    def measures(self) -> list[str]:
        """The measures that some domain has, in the chart's order."""
        found = dict.fromkeys(row.measure for row in self.rows)
        return [*(name for name in TITLES if name in found), *(name for name in found if name not in TITLES)]

    @property
    def table(self) -> dict[str, dict[str, Drift]]:
        """By domain, then by measure."""
        found: dict[str, dict[str, Drift]] = {}
        for row in self.rows:
            found.setdefault(row.domain, {})[row.measure] = row
        return found

    @property
    def times_fewer(self) -> float:
        """Than the evaluations of 50 steps with guidance, as the released model is drawn."""
        return 2 * RELEASED_STEPS / self.num_evaluations

    def is_kept(self, row: Drift) -> bool:
        """Whether a share is as large as it should be."""
        return row.ratio >= (KEEPS_DIVERSITY if row.measure == "diversity" else KEEPS)


@dataclass(frozen=True)
class Rewritten:
    """A prompt as the enhancer put it, or the prompt itself where its answer was refused for that `reason`."""

    prompt: str
    text: str
    was_enhanced: bool
    reason: str = ""


@dataclass(frozen=True)
class EnhancerGrid:
    """Each model of the grid beside itself with the enhancer; `models` are in pairs, without and with.

    The rows with it hold the difference to those without. `rewritten` are all prompts, in the order of the examples.
    """

    models: Sequence[str]
    rows: Sequence[Row]
    win_rates: Sequence[WinRate]
    rewritten: Sequence[Rewritten]
    examples: Sequence[Example]

    @property
    def fallback_frac(self) -> float:
        """The share of prompts that were drawn as they were, because the enhancer's answer was refused."""
        return sum(not one.was_enhanced for one in self.rewritten) / len(self.rewritten)

    @property
    def length_ratio(self) -> float:
        """How many times as long as the prompts, in characters, the texts are that were drawn."""
        return sum(len(one.text) for one in self.rewritten) / sum(len(one.prompt) for one in self.rewritten)

    @property
    def shown(self) -> list[tuple[Example, Rewritten]]:
        """The examples, each with what was made of its prompt."""
        by_prompt = {one.prompt: one for one in self.rewritten}
        return [(example, by_prompt[example.prompt]) for example in self.examples]


@dataclass(frozen=True)
class Report:
    """`models` are in the order of the chain, the last one is the result; the first section is of all prompts.

    `judges` are those that decided the wins, with their weights; `facts` are shown as they are; `credits` name the
    authors of the real images; `costs` are those of one image, `worst` the worst cases of each category.
    """

    models: Sequence[str]
    sections: Sequence[Section]
    win_rates: Sequence[WinRate] = ()
    guards: Sequence[Guard] = ()
    judges: Mapping[str, float] = field(default_factory=dict[str, float])
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    credits: Sequence[str] = ()
    drift: FewStepDrift | None = None
    enhancer: EnhancerGrid | None = None
    costs: Sequence[Cost] = ()
    worst: Sequence[WorstOf] = ()

    @property
    def rows(self) -> list[Row]:
        """Those of all sections."""
        return [row for section in self.sections for row in section.rows]

    @property
    def examples(self) -> list[Example]:
        """Those of all sections, taking turns, so that the first few are of all of them."""
        turns = zip_longest(*(section.examples for section in self.sections))
        return [example for turn in turns for example in turn if example is not None]


def write_report(out: Path, report: Report) -> None:
    """Make the directory `out`: `report.json`, `index.html`, a `samples_<model>.png` of each model, `compare.png`."""
    out.mkdir(parents=True)
    content = {
        "models": list(report.models),
        "facts": dict(report.facts),
        "judges": dict(report.judges),
        "num_prompts": {section.split: section.num_prompts for section in report.sections},
        "rows": [asdict(row) for row in report.rows],
        "winners": {section.split: dict(section.winners) for section in report.sections},
        "win_rates": [asdict(rate) for rate in report.win_rates],
        "guards": [asdict(guard) for guard in report.guards],
        "drift": [asdict(row) for row in report.drift.rows] if report.drift else [],
        "costs": [asdict(cost) for cost in report.costs],
        "worst": [_stored_worst(one) for one in report.worst],
        "prompts": [example.prompt for section in report.sections for example in section.examples],
        "enhancer": _stored(report.enhancer) if report.enhancer else None,
    }
    (out / "report.json").write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    (out / "index.html").write_text(render_page(report), encoding="utf-8")
    shown = report.examples[:SHOWN_ON_SHEETS]
    for model in report.models:
        samples = contact_sheet([(example.prompt, example.generated_u8[model]) for example in shown])
        Image.fromarray(samples).save(out / f"samples_{model}.png", optimize=True)
    Image.fromarray(comparison_sheet(report.models, shown)).save(out / "compare.png", optimize=True)
    if grid := report.enhancer:
        sheet = comparison_sheet(grid.models, grid.examples[:SHOWN_ON_SHEETS], columns=2)
        Image.fromarray(sheet).save(out / "compare_enhancer.png", optimize=True)


def _stored(grid: EnhancerGrid) -> dict[str, Any]:
    return {
        "models": list(grid.models),
        "fallback_frac": grid.fallback_frac,
        "length_ratio": grid.length_ratio,
        "rows": [asdict(row) for row in grid.rows],
        "win_rates": [asdict(rate) for rate in grid.win_rates],
        "rewritten": [asdict(one) for one in grid.rewritten],
    }


def _stored_worst(one: WorstOf) -> dict[str, Any]:
    models = {
        model: {name: value for name, value in vars(worst).items() if name != "image_u8"}
        for model, worst in one.models.items()
    }
    return {"category": one.category, "num_prompts": one.num_prompts, "models": models}


def render_page(report: Report) -> str:
    """The page as HTML."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters: dict[str, Any] = {
        "png": png_data_uri,
        "number": _number,
        "amount": _amount,
        "signed": _signed,
        "percent": _percent,
        "place": _place,
        "fact": _fact,
        "label": label_of,
        "measure": lambda name: "Fréchet distance" if name == "frechet" else name.replace("_", " "),
        "by_metric": by_metric,
        "pairs": lambda values: list(zip(values[::2], values[1::2], strict=True)),
    }
    environment.filters.update(filters)
    page = environment.from_string(TEMPLATE).render(report=report)
    return "\n".join(line for line in page.splitlines() if line.strip()) + "\n"


def label_of(model: str) -> str:
    """What people call a model."""
    name = model.removesuffix(ENHANCED)
    return LABELS.get(name, name) + (" + enhancer" if name != model else "")


def by_metric(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each metric together, in order of appearance."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.key, []).append(row)
    return list(found.values())


def _amount(value: float, unit: Unit) -> str:
    """A score as people read it: shares in percent."""
    text = {"share": _percent, "similarity": _similarity, "distance": _number}[unit](abs(value))
    return f"−{text}" if value < 0 else text


def _signed(value: float, unit: Unit) -> str:
    """A difference with its sign, in percentage points for shares; zero has none."""
    return f"{'+' if value > 0 else ''}{_amount(value, unit)}"


def _number(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _similarity(value: float) -> str:
    return f"{value:.1f}" if value > 1 else f"{value:.3f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _place(share: float) -> float:
    """Where a share of a scale lies on its bar, in percent of its width."""
    return round(100 * min(max(share, 0.0), 1.0), 1)


def _fact(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return _number(value) if isinstance(value, float) else str(value)


def png_data_uri(image_u8: UInt8[np.ndarray, "h w 3"]) -> str:
    """The image as a `data:` address, so that the page needs no other file."""
    buffer = io.BytesIO()
    Image.fromarray(image_u8).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def read_png(file: Path) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of a picture that this module wrote."""
    with Image.open(file) as image:
        return np.array(image.convert("RGB"))


def contact_sheet(
    pictures: Sequence[tuple[str, UInt8[np.ndarray, "h w 3"]]], columns: int = 8, side_px: int = 128
) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures in a grid on white, each over the first words of its prompt."""
    gap, text_px = 12, 30
    num_rows = max(1, -(-len(pictures) // columns))
    size = (columns * (side_px + gap) + gap, num_rows * (side_px + text_px + gap) + gap)
    sheet = Image.new("RGB", size, "white")
    for index, (prompt, image_u8) in enumerate(pictures):
        x, y = gap + index % columns * (side_px + gap), gap + index // columns * (side_px + text_px + gap)
        _paste(sheet, image_u8, x, y, side_px)
        _write(sheet, prompt, x, y + side_px + 3, side_px)
    return np.asarray(sheet)


def comparison_sheet(
    models: Sequence[str], examples: Sequence[Example], columns: int = 3, side_px: int = 96
) -> UInt8[np.ndarray, "height width 3"]:
    """For each prompt what every model drew, in the order of the chain, and the real image, side by side on white."""
    names = [*(label_of(model) for model in models), "real"]
    gap, text_px, between = 4, 20, 24
    group_px = len(names) * (side_px + gap) - gap + between
    num_rows = max(1, -(-len(examples) // columns))
    size = (columns * group_px + between, text_px + num_rows * (side_px + text_px + gap) + gap)
    sheet = Image.new("RGB", size, "white")
    for column in range(columns):
        for place, name in enumerate(names):
            _write(sheet, name, between + column * group_px + place * (side_px + gap), 5, side_px, "#1d1c1a")
    for index, example in enumerate(examples):
        x, y = between + index % columns * group_px, text_px + index // columns * (side_px + text_px + gap)
        for place, image_u8 in enumerate([*(example.generated_u8[model] for model in models), example.real_u8]):
            _paste(sheet, image_u8, x + place * (side_px + gap), y, side_px)
        _write(sheet, example.prompt, x, y + side_px + 3, group_px - between, num_lines=1)
    return np.asarray(sheet)


def _paste(sheet: Image.Image, image_u8: UInt8[np.ndarray, "h w 3"], x: int, y: int, side_px: int) -> None:
    sheet.paste(Image.fromarray(image_u8).resize((side_px, side_px), Image.Resampling.BICUBIC), (x, y))


def _write(
    sheet: Image.Image, text: str, x: int, y: int, width_px: int, fill: str = "#444444", num_lines: int = 2
) -> None:
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for number, line in enumerate(_wrapped(text, font, width_px, num_lines)):
        draw.text((x, y + 13 * number), line, fill=fill, font=font)


def _wrapped(text: str, font: Any, width_px: int, num_lines: int) -> list[str]:
    """`text` in at most `num_lines` lines of `width_px`, the last one cut where it must be."""
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
