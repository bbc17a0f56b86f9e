"""How well scores follow labels: Spearman's, Pearson's and Kendall's correlation, each with its interval.

Rows of one group (versions of one picture) are no independent witnesses: a resample draws whole groups.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import kendalltau, rankdata

from components.evaluation.intervals import interval_around

_MIN_ROWS = 3


@dataclass(frozen=True)
class Correlation:
    """A correlation in [-1, 1], and between what it lies with 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Correlations:
    """SRCC (Spearman), PLCC (Pearson) and KRCC (Kendall's tau-b) over so many rows."""

    num_rows: int
    srcc: Correlation
    plcc: Correlation
    krcc: Correlation

    @property
    def three(self) -> tuple[Correlation, Correlation, Correlation]:
        """SRCC, PLCC and KRCC."""
        return self.srcc, self.plcc, self.krcc


def correlations(
    scores: Float[np.ndarray, " n"],
    labels: Float[np.ndarray, " n"],
    seed: int,
    *,
    groups: Sequence[str] | None = None,
    num_resamples: int = 400,
) -> Correlations:
    """The three correlations of `scores` with `labels`, with bootstrap intervals; seeded.

    ValueError for fewer than three rows, or where all scores or all labels are equal: then there is no order to follow.
    """
    if len(scores) != len(labels) or len(scores) < _MIN_ROWS:
        raise ValueError(f"{len(scores)} scores of {len(labels)} labels; allowed: as many, {_MIN_ROWS} or more")
    if np.ptp(scores) == 0 or np.ptp(labels) == 0:
        raise ValueError(f"all {len(scores)} scores or all labels are equal; a correlation needs both to differ")
    rows = np.stack([scores, labels]).astype(np.float64)
    draws = _resamples(len(scores), groups, num_resamples, seed)
    return Correlations(len(scores), *(_with_interval(statistic, rows, draws) for statistic in (srcc, plcc, krcc)))


def srcc(rows: Float[np.ndarray, "2 n"]) -> float:
    """Spearman's rank correlation of two rows; ties share their mean rank."""
    return plcc(np.stack([rankdata(row) for row in rows]))


def plcc(rows: Float[np.ndarray, "2 n"]) -> float:
    """Pearson's linear correlation of two rows; NaN if one of them is constant."""
    apart = rows - rows.mean(axis=1, keepdims=True)
    norm = float(np.sqrt((apart**2).sum(axis=1).prod()))
    return float((apart[0] * apart[1]).sum()) / norm if norm else float("nan")


def krcc(rows: Float[np.ndarray, "2 n"]) -> float:
    """Kendall's rank correlation tau-b of two rows; NaN if one of them is constant."""
    found: Any = kendalltau(rows[0], rows[1])
    return float(found.statistic)


def _with_interval(
    statistic: Callable[[Float[np.ndarray, "2 n"]], float],
    rows: Float[np.ndarray, "2 n"],
    draws: Sequence[np.ndarray],
) -> Correlation:
    value = statistic(rows)
    resampled = np.array([statistic(rows[:, drawn]) for drawn in draws])
    known = resampled[~np.isnan(resampled)]  # a resample may hold one row only, time and again
    low, high = interval_around(value, known) if len(known) else (-1.0, 1.0)
    return Correlation(value, max(-1.0, low), min(1.0, high))


def _resamples(num_rows: int, groups: Sequence[str] | None, num_resamples: int, seed: int) -> list[np.ndarray]:
    """Rows drawn with replacement, whole groups at a time; those whose rows are all of one group are left out."""
    names = np.arange(num_rows) if groups is None else np.unique(np.array(groups, dtype=str), return_inverse=True)[1]
    members = np.split(np.argsort(names, kind="stable"), np.cumsum(np.bincount(names))[:-1])
    draw = np.random.default_rng(seed)
    picks = (draw.integers(len(members), size=len(members)) for _ in range(num_resamples))
    return [np.concatenate([members[one] for one in picked]) for picked in picks]
