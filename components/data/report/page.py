"""The page for people: one self-contained HTML file, made from a summary, examples and an earlier summary.

Names and words come from other people: the page is rendered with escaping on, loads nothing, and holds no script.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, StrictUndefined

from components.data.report import view
from components.data.report.examples import Example, Reason
from components.data.report.summary import Summary
from components.data.report.template import TEMPLATE
from components.data.report.view import Figure

_MAX_CHARS = 120
_MAX_ROWS = 30
_SAID = {
    "concept_not_taken": "the concept is not among those taken",
    "style_not_wanted": "nothing in this style is taken",
    "category_not_wanted": "nothing in this category is taken",
    "no_category": "the classifier abstained",
    "not_taken": "other rules of the selection",
    "no_usable_words": "no words that make a caption",
    "probability_zero": "training would never draw it",
}


@dataclass(frozen=True)
class Gallery:
    """What the page pictures: examples by gate and reason, clusters by size, text that was read, and the pictures.

    `pictures` has a `data:` address for each sample.
    """

    examples: Mapping[Reason, Sequence[Example]]
    clusters: Sequence[tuple[int, Sequence[str]]]
    texts: Sequence[tuple[str, str]]
    pictures: Mapping[str, str]


def render_page(summary: Summary, gallery: Gallery, previous: Summary | None = None, previous_name: str = "") -> str:
    """The page as HTML; with a `previous` summary every figure stands beside its change."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(_FILTERS)
    groups, (tree, more) = view.groups(summary, previous), view.tree(summary, previous)
    captions = view.captions(summary, previous)
    page = environment.from_string(TEMPLATE).render(
        facts=_facts(summary, previous),
        compared_with=previous_name if previous else "",
        funnel=view.funnel(summary, previous),
        offered=max(1, summary["funnel"][0]["offered"]),
        examples=gallery.examples,
        pictures=gallery.pictures,
        clusters=gallery.clusters,
        texts=gallery.texts,
        text=_text(summary, previous),
        tree=tree,
        more_branches=more,
        totals=_totals(groups["category"]),
        groups=groups,
        max_rows=_MAX_ROWS,
        aesthetic=summary["aesthetic"],
        before=previous,
        captions=captions,
        has_maker=any("maker" in row for row in captions),
        repeats=_repeats(summary, previous),
        grid=view.size_grid(summary["sizes"]),
        aspects=summary["aspects"],
        version=summary["version"],
        bars=view.bars,
        outline=view.outline,
    )
    return "\n".join(line for line in page.splitlines() if line.strip()) + "\n"


def _facts(summary: Summary, previous: Summary | None) -> list[tuple[str, Any]]:
    def figure(of: Any) -> Figure:
        return Figure(of(summary), of(previous) if previous else None)

    return [
        ("images offered", figure(lambda s: s["funnel"][0]["offered"])),
        ("left by the filters", figure(lambda s: next(g["kept"] for g in s["funnel"] if g["gate"] == "filter"))),
        ("selected", figure(lambda s: sum(s["splits"].values()))),
        ("for training", figure(lambda s: s["splits"].get("train", 0))),
        ("held out", figure(lambda s: sum(s["splits"].values()) - s["splits"].get("train", 0))),
        ("categories", figure(lambda s: sum(bool(row["category"]) for row in s["groups"]["category"]))),
        ("MB of images", figure(lambda s: round(s["bytes"] / 1e6, 1))),
        ("version", summary["version"][:12]),
    ]


def _totals(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What shares are shares of, and the widest of them, so that the longest bar fills its column."""
    kept, drawn = (sum(row[name].now for row in rows) or 1 for name in ("kept", "drawn"))
    shares = [share for row in rows for share in (row["kept"].now / kept, row["drawn"].now / drawn)]
    return {"kept": kept, "drawn": drawn, "widest": max([*shares, 1e-9])}


def _repeats(summary: Summary, previous: Summary | None) -> dict[str, Figure]:
    now, was = summary["duplicates"], previous and previous["duplicates"]
    return {name: Figure(now[name], was[name] if was else None) for name in ("clusters", "dropped")}


def _text(summary: Summary, previous: Summary | None) -> dict[str, Figure]:
    now, was = summary["text"], previous and previous["text"]
    return {name: Figure(now[name], was[name] if was else None) for name in ("read", "found")}


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 10 else f"{value:,.1f}"


def _signed(change: float) -> str:
    return f"{'+' if change > 0 else '−'}{_number(abs(change))}"


def _size(num_bytes: int) -> str:
    """So many bytes, in the unit that a person would say."""
    unit, factor = ("MB", 1e6) if num_bytes >= 1e6 else ("kB", 1e3) if num_bytes >= 1e3 else ("bytes", 1)
    return f"{_number(round(num_bytes / factor, 1))} {unit}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _place(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _score(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.3g}"


def _shade(count: int, most: int) -> str:
    """Opacity by the logarithm of the count, so that one image is still seen beside a million."""
    return f"{0.15 + 0.85 * math.log1p(count) / math.log1p(most):.2f}"


def _short(words: str) -> str:
    """As much of other people's words as the page has room for."""
    return words if len(words) <= _MAX_CHARS else f"{words[: _MAX_CHARS - 1]}…"


def _said(reason: str) -> str:
    return _SAID.get(reason, reason.replace("_", " "))


_FILTERS: dict[str, Any] = {
    "number": _number,
    "signed": _signed,
    "size": _size,
    "percent": _percent,
    "place": _place,
    "score": _score,
    "shade": _shade,
    "said": _said,
    "short": _short,
}
