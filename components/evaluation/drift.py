"""What a student of few steps keeps of its teacher: measures of sets of pictures by domain, and a chart of the shares.

A set has the same number of pictures for each prompt, drawn from different noise, and each prompt belongs to a domain.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from components.data.quality_measures import colourfulness
from components.evaluation.health import INK, LINE, QUIET

ALL = "all"
KEEPS, KEEPS_DIVERSITY = 0.95, 0.90
"""The shares of the teacher's numbers that a student should keep."""


def diversity(features: Float[np.ndarray, "p k d"]) -> Float[np.ndarray, " p"]:
    """For each of p prompts the mean distance between the features of two of its k pictures; 0 if all are alike.

    Over all pairs of different pictures, so that it does not depend on k in the mean; ValueError for k below 2.
    """
    num_images = features.shape[1]
    if num_images < 2:
        raise ValueError(f"diversity needs at least 2 pictures for each prompt, got {num_images}")
    one, other = np.triu_indices(num_images, 1)
    values = features.astype(np.float64)
    return np.linalg.norm(values[:, one] - values[:, other], axis=2).mean(axis=1)


def saturation(images_u8: UInt8[np.ndarray, "n h w 3"]) -> float:
    """The mean colourfulness of pictures; 0 for grey ones."""
    return float(colourfulness(images_u8).mean())


def by_domain(values: Float[np.ndarray, " n"], domains: Sequence[str]) -> dict[str, float]:
    """The mean of each domain's values, NaN left out, and of these means under "all": every domain counts the same.

    A domain all of whose values are NaN is left out, and "all" too if that leaves none.
    """
    of = np.array(domains, dtype=object)
    known = {domain: values[(of == domain) & ~np.isnan(values)] for domain in dict.fromkeys(domains)}
    means = {domain: float(some.mean()) for domain, some in known.items() if len(some)}
    return {**means, ALL: float(np.mean(list(means.values())))} if means else {}


COLOURS = ("#2f6f6a", "#b4562b", "#6a5a9c", "#9a7b1c", "#3f74b5", "#a8477d", "#5c8a3a", "#8a6a55")
TITLES = {
    "alignment": "alignment, of the teacher's",
    "aesthetic_proxy": "aesthetic proxy, of the teacher's",
    "lettering": "lettering, of the teacher's",
    "diversity": "diversity, of the teacher's",
    "frechet": "Fréchet distance, the teacher's over the student's",
}
COLUMNS = 3


def drift_chart(looks: Sequence[Mapping[str, Any]], width_px: int = 1200) -> UInt8[np.ndarray, "height width 3"]:
    """The student's share of the teacher's numbers against its updates: a panel for each measure, a curve per domain.

    `looks` are those of a distillation's watch (`drift/<domain>/<measure>`, `saturation`, `fake_loss`,
    `student_updates`). Lines stand at 1, where the student does as the teacher does, and at the share to be kept.
    What is missing or not finite leaves a gap.
    """
    drifts = _drifts(looks)
    order = [*(name for name in TITLES if name in drifts), *sorted(drifts.keys() - TITLES.keys())]
    domains = sorted({domain for of_measure in drifts.values() for domain in of_measure} - {ALL})
    colours = {ALL: INK, **{domain: COLOURS[number % len(COLOURS)] for number, domain in enumerate(domains)}}
    singles = {"saturation": "colourfulness, of the teacher's", "fake_loss": "loss of the fake score"}
    shown = {name: title for name, title in singles.items() if any(name in look for look in looks)}
    last_update = max((look["student_updates"] for look in looks), default=0)
    num_rows = max(1, -(-(len(order) + len(shown)) // COLUMNS))
    figure = Figure(figsize=(width_px / 100, 2.7 * num_rows + 0.4), dpi=100, layout="constrained", facecolor="white")
    canvas = FigureCanvasAgg(figure)  # no window and no global state, unlike pyplot
    panels = (figure.add_subplot(num_rows, COLUMNS, number + 1) for number in range(len(order) + len(shown)))
    for measure, axes in zip(order, panels, strict=False):
        keeps = KEEPS_DIVERSITY if measure == "diversity" else KEEPS
        _draw(axes, TITLES.get(measure, measure), drifts[measure], colours, (1.0, keeps), last_update)
    for (name, title), axes in zip(shown.items(), panels, strict=True):
        _draw(axes, title, {ALL: _curve(looks, name)}, colours, (1.0,) if name == "saturation" else (), last_update)
    handles = {text: line for axes in figure.axes for line, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    if handles:
        names = [name for name in (ALL, *domains) if name in handles]
        figure.legend(
            [handles[name] for name in names],
            names,
            loc="outside upper left",
            ncols=len(names),
            fontsize=9,
            frameon=False,
            labelcolor=INK,
        )
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


Curve = Float[np.ndarray, "n 2"]


def _drifts(looks: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Curve]]:
    """By measure, then by domain: (updates, share)."""
    found: dict[str, dict[str, Curve]] = {}
    for name in sorted({name for look in looks for name in look if name.startswith("drift/")}):
        _, domain, measure = name.split("/", 2)
        found.setdefault(measure, {})[domain] = _curve(looks, name)
    return found


def _curve(looks: Sequence[Mapping[str, Any]], name: str) -> Curve:
    points = [(look["student_updates"], look.get(name, np.nan)) for look in looks]
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _draw(
    axes: Axes,
    title: str,
    curves: Mapping[str, Curve],
    colours: Mapping[str, str],
    lines: Sequence[float],
    last_update: int,
) -> None:
    axes.set_title(title, fontsize=10, loc="left", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)
    axes.tick_params(labelsize=8, colors=QUIET, length=0)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_xlabel("updates of the student", fontsize=8, color=QUIET)
    margin = 0.03 * max(last_update, 1)
    axes.set_xlim(-margin, max(last_update, 1) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for height, style in zip(lines, ("-", "--"), strict=False):
        axes.axhline(height, color=QUIET, linewidth=0.9, linestyle=style)
    if len(lines) > 1:
        place = (0.01, lines[1])
        where = axes.get_yaxis_transform()
        axes.text(*place, "to keep", transform=where, ha="left", va="bottom", fontsize=7, color=QUIET)
    for domain in sorted(curves, key=lambda one: one == ALL):  # the thick one on top
        points = curves[domain][np.isfinite(curves[domain][:, 1])]
        if len(points):
            width = 2.2 if domain == ALL else 1.3
            axes.plot(*points.T, color=colours[domain], linewidth=width, marker="o", markersize=3, label=domain)
