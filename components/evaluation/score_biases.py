"""Whom a model of taste favours: the mean residual of a named group against the rest.

The residual is score - label. Published models over-rate pictures in black and white, snapshots, and what models drew.

Source: the ERNIE-Image technical report, sections 3.1 and 3.3; Welch 1947, doi:10.1093/biomet/34.1-2.28.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import t

Group = Literal["black_and_white", "snapshots", "ai_made"]
GROUPS: tuple[Group, ...] = get_args(Group)


@dataclass(frozen=True)
class ScoreBias:
    """How many levels (0 to 100) a group is over-rated, with 95 %; None where the group was not measured.

    `measured` says what was compared, or that nothing was.
    """

    group: Group
    measured: str
    num_images: int
    bias: float | None = None
    low: float | None = None
    high: float | None = None


def not_measured(group: Group, why: str) -> ScoreBias:
    """The row of a group of which there are no pictures."""
    return ScoreBias(group, f"not measured: {why}", 0)


def bias_between(
    group: Group, measured: str, residuals: Float[np.ndarray, " n"], rest: Float[np.ndarray, " m"]
) -> ScoreBias:
    """The group's mean residual less that of the rest, by Welch; not measured with fewer than two of either."""
    if min(len(residuals), len(rest)) < 2:
        return not_measured(group, f"{len(residuals)} pictures of the group against {len(rest)}")
    bias = float(residuals.mean(dtype=np.float64) - rest.mean(dtype=np.float64))
    errors = np.array([rows.var(ddof=1, dtype=np.float64) / len(rows) for rows in (residuals, rest)])
    freedom = errors.sum() ** 2 / (errors**2 / [len(residuals) - 1, len(rest) - 1]).sum() if errors.any() else 1.0
    half = float(t.ppf(0.975, freedom) * np.sqrt(errors.sum()))
    return ScoreBias(group, measured, len(residuals), bias, bias - half, bias + half)


def bias_of_change(
    group: Group, measured: str, changed: Float[np.ndarray, " n"], as_they_are: Float[np.ndarray, " n"]
) -> ScoreBias:
    """The mean change of a picture's score where only the group changes (Student's interval over pictures)."""
    apart = changed.astype(np.float64) - as_they_are
    if len(apart) < 2:
        return not_measured(group, f"{len(apart)} pictures")
    half = float(t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart)))
    bias = float(apart.mean())
    return ScoreBias(group, measured, len(apart), bias, bias - half, bias + half)


def bias_of_group(
    group: Group, scores: Float[np.ndarray, " n"], labels: Float[np.ndarray, " n"], is_group: Bool[np.ndarray, " n"]
) -> ScoreBias:
    """The bias of labelled pictures of a group against the other labelled ones."""
    residuals = scores.astype(np.float64) - labels
    return bias_between(group, "residuals of labelled pictures", residuals[is_group], residuals[~is_group])
