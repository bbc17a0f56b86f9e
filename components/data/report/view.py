"""What the page shows, from one summary and the one before it: rows of figures, each with what it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from components.data.report.summary import GROUPS, STEPS_PER_OCTAVE, Summary

MAX_BRANCHES = 150
MAX_TWIGS = 400
_MAX_CELLS = 20


@dataclass(frozen=True)
class Figure:
    """A number now, and what it was in the version before (None: there is none to compare with)."""

    now: float
    was: float | None = None

    @property
    def change(self) -> float:
        """How much it rose; 0 where there is nothing to compare with."""
        return 0 if self.was is None else self.now - self.was


def funnel(summary: Summary, previous: Summary | None) -> list[dict[str, Any]]:
    """The gates in order: figures of what came and passed, and a figure for each reason of either version."""
    before = {gate["gate"]: gate for gate in (previous or {"funnel": []})["funnel"]}
    gates = list[dict[str, Any]]()
    for gate in summary["funnel"]:
        was = before.get(gate["gate"]) if previous else None
        counts = {name: _figure(gate, was, name) for name in ("offered", "kept")}
        reasons = _merged(gate["dropped"], was["dropped"] if was else None)
        gates.append({"gate": gate["gate"], **counts, "reasons": reasons})
    return gates


def groups(summary: Summary, previous: Summary | None) -> dict[str, list[dict[str, Any]]]:
    """For each grouping its rows: a name, and figures of images kept, selected and drawn."""
    return {name: _rows(summary["groups"][name], _before(previous, "groups", name), (name,)) for name in GROUPS}


def tree(summary: Summary, previous: Summary | None) -> tuple[list[dict[str, Any]], int]:
    """The largest categories with their largest subcategories, and how many categories are left out of the list."""
    branches = groups(summary, previous)["category"]
    twigs = _rows(summary["subcategories"], _before(previous, "subcategories"), ("category", "subcategory"))[:MAX_TWIGS]
    of_branch = {row["names"][0]: list[dict[str, Any]]() for row in branches}
    for twig in twigs:
        of_branch[twig["names"][0]].append(twig)
    shown = [branch | {"twigs": of_branch[branch["names"][0]]} for branch in branches[:MAX_BRANCHES]]
    for branch in shown:
        if [twig["names"][1] for twig in branch["twigs"]] == [""]:
            branch["twigs"] = []
    return shown, len(branches) - len(shown)


def captions(summary: Summary, previous: Summary | None) -> list[dict[str, Any]]:
    """The kinds of caption, with figures of their number, their images and their median length."""
    keys = ("kind", "language", "maker")
    before = {tuple(row.get(key) for key in keys): row for row in (previous or {"captions": []})["captions"]}
    rows = list[dict[str, Any]]()
    for row in summary["captions"]:
        was = before.get(tuple(row.get(key) for key in keys), {}) if previous else None
        rows.append(row | {name: _figure(row, was, name) for name in ("number", "images", "median")})
    return rows


def size_grid(cells: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The size map in at most 20 steps a side: squares with their place and count, and the axes' marks in pixels."""
    if not cells:
        return {"side": 1, "squares": [], "marks": []}
    low = min(min(wide, high) for wide, high, _ in cells)
    top = max(max(wide, high) for wide, high, _ in cells)
    merge = next(factor for factor in (1, 2, 4, 8, 16, 32, 64) if top // factor - low // factor < _MAX_CELLS)
    first, side = low // merge, top // merge - low // merge + 1
    counts = dict[tuple[int, int], int]()
    for wide, high, count in cells:
        place = wide // merge - first, high // merge - first
        counts[place] = counts.get(place, 0) + count
    edges = [round(2 ** ((first + step) * merge / STEPS_PER_OCTAVE)) for step in range(side + 1)]
    squares = [
        {
            "x": x,
            "y": side - 1 - y,
            "count": count,
            "sides": f"{edges[x]} to {edges[x + 1]} wide, {edges[y]} to {edges[y + 1]} high",
        }
        for (x, y), count in sorted(counts.items())
    ]
    every = -(-(side + 1) // 6)
    marks = [{"at": step, "px": edges[step]} for step in range(0, side + 1, every)]
    return {"side": side, "squares": squares, "marks": marks, "most": max(counts.values())}


def bars(edges: Sequence[float], counts: Sequence[float]) -> list[dict[str, float]]:
    """A histogram as bars: place and width on an axis from 0 to 100, height as a share of the highest."""
    highest, span = max([*counts, 1e-12]), edges[-1] - edges[0]
    return [
        {"x": 100 * (low - edges[0]) / span, "width": 100 * (high - low) / span, "height": 100 * count / highest}
        for (low, high), count in zip(pairwise(edges), counts, strict=True)
    ]


def outline(edges: Sequence[float], counts: Sequence[float]) -> str:
    """A histogram as the path of an SVG of 100 by 100: its steps from the lower left to the lower right corner."""
    steps = [f"V{100 - bar['height']:.2f} H{bar['x'] + bar['width']:.2f}" for bar in bars(edges, counts)]
    return " ".join(["M0 100", *steps, "V100"])


def _rows(
    now: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]] | None, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows of both versions by name; what only the version before had stands last, with 0."""
    current, was = ({tuple(row[name] for name in names): row for row in rows} for rows in (now, before or ()))
    return [
        {
            "names": name,
            **{
                count: Figure(
                    current.get(name, {}).get(count, 0), None if before is None else was.get(name, {}).get(count, 0)
                )
                for count in ("kept", "selected", "drawn")
            },
        }
        for name in [*current, *(name for name in was if name not in current)]
    ]


def _merged(now: Mapping[str, int], before: Mapping[str, int] | None) -> dict[str, Figure]:
    names = [*now, *(name for name in before or () if name not in now)]
    return {name: Figure(now.get(name, 0), None if before is None else before.get(name, 0)) for name in names}


def _before(previous: Summary | None, *keys: str) -> Any:
    value: Any = previous
    for key in keys:
        value = value and value[key]
    return value


def _figure(now: Mapping[str, Any], was: Mapping[str, Any] | None, name: str) -> Figure:
    return Figure(now[name], None if was is None else was.get(name, 0))
