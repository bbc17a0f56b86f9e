"""What came of a benchmark: `results.json` for machines and one self-contained page for people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, StrictUndefined

from components.data.decode import at_most
from components.evaluation.benchmarks.drawing import write_whole
from components.evaluation.benchmarks.page import EXPLAINED, TEMPLATE
from components.evaluation.benchmarks.published import Published
from components.evaluation.benchmarks.scores import Score
from components.evaluation.benchmarks.suite import Unscored
from components.evaluation.report import png_data_uri

RESULTS, PAGE = "results.json", "report.html"
SHOWN_PX = 192


@dataclass(frozen=True)
class Shown:
    """Drawings of a prompt, or rated images, with the words below them."""

    text: str
    images_u8: Sequence[UInt8[np.ndarray, "h w 3"]]
    detail: str = ""


@dataclass(frozen=True)
class Results:
    """A benchmark's scores of a model, what was not scored, and what a reader must know.

    `about` says what was done, `shown_title` what the pictures at the end of the page are. `beside` are published rows
    that may be compared with the scores; none where another scorer or other cases would be compared.
    """

    name: str
    title: str
    about: str
    shown_title: str
    model: str
    facts: Mapping[str, Any]
    scores: Sequence[Score]
    unscored: Sequence[Unscored]
    notes: Sequence[str]
    beside: Sequence[Published] = field(default_factory=tuple)

    @property
    def compared(self) -> list[Score]:
        """The scores that stand beside the published ones, by their metrics."""
        known = {name for row in self.beside for name in row.values}
        return [score for score in self.scores if score.is_official and not score.group and score.metric in known]

    @property
    def by_metric(self) -> dict[str, list[Score]]:
        """The scores of each metric, all of it first and then its groups."""
        found: dict[str, list[Score]] = {}
        for score in self.scores:
            found.setdefault(score.metric, []).append(score)
        return found

    @property
    def unscored_by_need(self) -> dict[str, list[str]]:
        """The scores that are not given, by what they would need."""
        found: dict[str, list[str]] = {}
        for one in self.unscored:
            found.setdefault(one.needs, []).append(_metric(one.metric))
        return found


def stored(results: Results) -> dict[str, Any]:
    """The results as JSON says them."""
    return {
        "benchmark": results.name,
        "model": results.model,
        "facts": dict(results.facts),
        "scores": [asdict(score) for score in results.scores],
        "not_scored": [asdict(one) for one in results.unscored],
        "notes": list(results.notes),
        "published": [asdict(row) for row in results.beside],
    }


def write_results(folder: Path, results: Results, shown: Sequence[Shown]) -> None:
    """Write both files into `folder`, each whole or not at all."""
    text = json.dumps(stored(results), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(folder / RESULTS, (text + "\n").encode())
    write_whole(folder / PAGE, render_page(results, shown).encode())


def render_page(results: Results, shown: Sequence[Shown]) -> str:
    """The page as HTML. Prompts and names are other people's text: all of it is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters: dict[str, Any] = {
        "png": lambda pixels: png_data_uri(at_most(pixels, SHOWN_PX)),
        "fact": _fact,
        "metric": _metric,
        "place": lambda share: round(100 * min(max(share, 0.0), 1.0), 1),
    }
    environment.filters.update(filters)
    page = environment.from_string(TEMPLATE).render(results=results, shown=shown, explained=EXPLAINED)
    return "\n".join(line for line in page.splitlines() if line.strip()) + "\n"


def _metric(name: str) -> str:
    """A metric as people write it: correlations in capitals."""
    return name.upper() if name.endswith("cc") or name in ("en", "zh") else name.replace("_", " ")


def _fact(value: Any) -> str:
    """A fact as people read it: of a digest its beginning, for the whole of it stands in results.json."""
    match value:
        case bool():
            return "yes" if value else "no"
        case str() if len(value) == 64:
            return f"{value[:12]}…"
        case "":
            return "none"
        case _:
            return str(value)
