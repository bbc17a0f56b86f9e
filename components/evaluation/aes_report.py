"""What an Aes model reached on pictures it never saw: correlations, overall and by category, biases, and its card."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64

from components.evaluation.correlations import Correlation, Correlations, correlations
from components.evaluation.score_biases import (
    GROUPS,
    Group,
    ScoreBias,
    bias_between,
    bias_of_change,
    bias_of_group,
    not_measured,
)

MIN_IMAGES = 5
"""Of a category, to say anything about it."""


@dataclass(frozen=True)
class Seen:
    """Scores of held-out rows and their labels; of equal `names` they are versions of one picture.

    `grey` are the scores of the rows `grey_rows` without their colour. `drawn` are scores of pictures that a model drew
    and nobody labelled, `undamaged` those of real ones beside them.
    """

    scores: Float[np.ndarray, " n"]
    labels: Float[np.ndarray, " n"]
    names: Sequence[str]
    categories: Sequence[str]
    groups: Sequence[str]
    grey: Float[np.ndarray, " g"]
    grey_rows: Int64[np.ndarray, " g"]
    drawn: Float[np.ndarray, " k"]
    undamaged: Float[np.ndarray, " u"]


@dataclass(frozen=True)
class AesReport:
    """Correlations over all held-out rows and by category, and the recipe's named biases."""

    overall: Correlations
    by_category: dict[str, Correlations]
    biases: list[ScoreBias]

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def report_of(seen: Seen, *, num_resamples: int, seed: int) -> AesReport:
    """The report; ValueError where all scores or all labels are equal."""
    overall = correlations(seen.scores, seen.labels, seed, groups=seen.names, num_resamples=num_resamples)
    by_category = dict[str, Correlations]()
    names, categories = np.array(seen.names, dtype=object), np.array(seen.categories, dtype=object)
    for category in sorted(set(seen.categories) - {""}):
        mine = categories == category
        if len(set(names[mine])) < MIN_IMAGES or not _varies(seen.scores[mine], seen.labels[mine]):
            continue
        by_category[category] = correlations(
            seen.scores[mine], seen.labels[mine], seed, groups=names[mine].tolist(), num_resamples=num_resamples
        )
    return AesReport(overall, by_category, [_bias(group, seen) for group in GROUPS])


def order_accuracy(
    scores: Float[np.ndarray, " n"], rows: Int64[np.ndarray, "m 2"], points: Float[np.ndarray, " m"]
) -> float:
    """How often the better one of a decided comparison scores higher, equal scores counting half; 0.5 if none is."""
    decided = points != 0.5
    lead = np.sign(scores[rows[decided, 0]].astype(np.float64) - scores[rows[decided, 1]])
    return float((0.5 + 0.5 * lead * np.sign(points[decided] - 0.5)).mean()) if decided.any() else 0.5


def card(report: AesReport, description: str, is_proxy: bool, facts: Sequence[tuple[str, object]]) -> str:
    """The model's card in Markdown: what its labels were, what it reached, whom it favours."""
    labels = "PROXY labels" if is_proxy else "labels"
    rows = [("all", report.overall), *report.by_category.items()]
    lines = [
        f"# Aes model ({labels})",
        "",
        f"Scores pictures from 0 to 100. Its labels are {description}.",
        *(["", "**Do not read its scores as human taste.**"] if is_proxy else []),
        "",
        f"## Held-out pictures ({labels}; 95 % by bootstrap over pictures)",
        "",
        "| category | rows | SRCC | PLCC | KRCC |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {_cell(name)} | {c.num_rows} | {_told(c.srcc)} | {_told(c.plcc)} | {_told(c.krcc)} |"
            for name, c in rows
        ),
        "",
        "## Named biases (levels of 100; above 0: over-rated)",
        "",
        "| group | bias | pictures | measured by |",
        "| --- | --- | --- | --- |",
        *(f"| {one.group} | {_told_bias(one)} | {one.num_images} | {_cell(one.measured)} |" for one in report.biases),
        "",
        "## Facts",
        "",
        *(f"- {name}: {_cell(str(value))}" for name, value in facts),
    ]
    return "\n".join(lines) + "\n"


def _bias(group: Group, seen: Seen) -> ScoreBias:
    is_group: Bool[np.ndarray, " n"] = np.array([one == group for one in seen.groups], bool)
    if is_group.any():
        return bias_of_group(group, seen.scores, seen.labels, is_group)
    if group == "black_and_white":
        told = "held-out pictures without their colour against the same in colour"
        return bias_of_change(group, told, seen.grey, seen.scores[seen.grey_rows])
    if group == "ai_made" and len(seen.drawn):
        told = "this chain's own drawings, which have no label, against real undamaged pictures: difference of scores"
        return bias_between(group, told, seen.drawn, seen.undamaged)
    return not_measured(group, "the labels mark no such picture")


def _varies(*values: Float[np.ndarray, " n"]) -> bool:
    return all(float(np.ptp(one)) > 0 for one in values)


def _told(found: Correlation) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _told_bias(found: ScoreBias) -> str:
    return "not measured" if found.bias is None else f"{found.bias:+.1f} ({found.low:+.1f} to {found.high:+.1f})"


def _cell(text: str) -> str:
    """Text from data as one plain cell: no mark-up, no line break."""
    return " ".join(text.split()).translate({ord(mark): f"\\{mark}" for mark in "|<>[]`*_\\"})
