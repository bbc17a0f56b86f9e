"""The health of a preference training as one picture: what moved, and the lines that it should not cross."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

History = Mapping[str, Sequence[tuple[int, float]]]
"""For each measure its (pairs seen, value), in the order in which they were logged."""

INK, QUIET, LINE = "#1d1c1a", "#6b6863", "#e4e1dc"
COLOURS = ("#2f6f6a", "#b4562b", "#6a5a9c", "#9a7b1c")


@dataclass(frozen=True)
class Chart:
    """One chart: its measures under the names they are shown by, and the value that means "as the reference does"."""

    title: str
    measures: Mapping[str, str]
    neutral: float | None = None
    share: bool = False


CHARTS = (
    Chart(
        "error relative to the reference",
        {
            "train/win_error_ratio": "preferred",
            "train/lose_error_ratio": "rejected",
            "health/win_ratio": "preferred, held out",
            "health/lose_ratio": "rejected, held out",
        },
        neutral=1.0,
    ),
    Chart(
        "implicit accuracy",
        {"train/accuracy": "training", "health/accuracy": "held out"},
        neutral=0.5,
        share=True,
    ),
    Chart("margin, as the loss has it", {"train/margin": "training"}, neutral=0.0),
    Chart("gradient factor (0.5 at the start, 0 saturated)", {"train/gradient_factor": "training"}, share=True),
    Chart("drift from the reference", {"train/drift": "training"}),
    Chart(
        "gradient: norm, and cosine of the pair",
        {"train/gradient_norm": "norm", "train/gradient_cosine": "cosine"},
        neutral=0.0,
    ),
)


def health_panel(
    history: History, charts: Sequence[Chart] = CHARTS, width_px: int = 1200
) -> UInt8[np.ndarray, "height width 3"]:
    """The charts over pairs seen, three in a row; a measure that is missing or not finite leaves a gap."""
    num_rows = -(-len(charts) // 3)
    figure = Figure(figsize=(width_px / 100, 2.9 * num_rows), dpi=100, layout="constrained", facecolor="white")
    canvas = FigureCanvasAgg(figure)  # no window and no global state, unlike pyplot
    for number, chart in enumerate(charts):
        _draw(figure.add_subplot(num_rows, 3, number + 1), chart, history)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw(axes: Axes, chart: Chart, history: History) -> None:
    axes.set_title(chart.title, fontsize=10, loc="left", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)
    axes.tick_params(labelsize=8, colors=QUIET, length=0)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_xlabel("pairs seen", fontsize=8, color=QUIET)
    if chart.share:
        axes.set_ylim(0, 1)
    if chart.neutral is not None:
        axes.axhline(chart.neutral, color=QUIET, linewidth=1, linestyle="--")
    for (measure, name), colour in zip(chart.measures.items(), COLOURS, strict=False):
        points = np.array([point for point in history.get(measure, ()) if np.isfinite(point[1])], dtype=float)
        if len(points):
            marker = "o" if len(points) < 12 else ""
            axes.plot(points[:, 0], points[:, 1], color=colour, linewidth=1.6, marker=marker, markersize=3, label=name)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8, frameon=False, labelcolor=INK)
    else:
        axes.text(0.5, 0.5, "not measured", ha="center", va="center", color=QUIET, transform=axes.transAxes)
