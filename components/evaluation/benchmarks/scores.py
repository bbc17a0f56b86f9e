"""Scores of a benchmark with their intervals, and who gave them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from components.evaluation.intervals import interval_around, resampled_scores, wilson_interval

NUM_RESAMPLES, SEED = 1000, 0


@dataclass(frozen=True)
class Score:
    """A value with its 95 % interval, over `num` prompts or images, and the `scorer` that gave it.

    `group` is "" where it is of all of them. `is_official` where the benchmark's own scorer gave it: only then
    may it stand beside published numbers.
    """

    metric: str
    value: float
    low: float
    high: float
    num: int
    scorer: str
    group: str = ""
    is_official: bool = False


def score(
    metric: str,
    scorer: str,
    statistic: Callable[[Float[np.ndarray, "n d"]], float],
    rows: Float[np.ndarray, "n d"],
    groups: Sequence[str],
    *,
    is_official: bool = False,
) -> list[Score]:
    """`statistic` of all rows, then of each group where there are several, with bootstrap intervals over the rows.

    Rows that are all alike show no spread, which a few do by chance: there Wilson's interval of as many trials stands.
    """
    of = np.array(groups, dtype=object)
    names = list(dict.fromkeys(groups))
    parts = {"": np.ones(len(of), bool), **({name: of == name for name in names} if len(names) > 1 else {})}
    return [_one(metric, scorer, statistic, rows[mask], name, is_official) for name, mask in parts.items()]


def _one(
    metric: str,
    scorer: str,
    statistic: Callable[[Float[np.ndarray, "n d"]], float],
    rows: Float[np.ndarray, "n d"],
    group: str,
    is_official: bool,
) -> Score:
    value = statistic(rows)
    drawn = resampled_scores(statistic, [rows], num_resamples=NUM_RESAMPLES, seed=SEED)[:, 0]
    interval = interval_around(value, drawn) if np.ptp(drawn) else wilson_interval(value * len(rows), len(rows))
    return Score(metric, value, *interval, len(rows), scorer, group, is_official)
