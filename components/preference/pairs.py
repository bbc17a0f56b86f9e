"""Pairs of winner and loser from scored candidates: best against worst, ties dropped, split by prompt.

What is made of every image is counted: images in = 2 x pairs + dropped, by reason.

Source: best and worst of many samples per prompt as in flow_grpo (github.com/yifan123/flow_grpo); starting from pairs
of moderate difference as in Z-Image (arXiv:2511.22699).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int64

from components.data.records import PAIRS
from components.preference.config import Curriculum, PairRules
from components.preference.prompts import split_of

Reason = Literal["repeated", "unjudged", "alone", "tie", "beyond_max_margin", "spare"]
"""Listed before under this prompt; NaN; no other left to compare with; no (or too little, too much) difference; enough
pairs of this prompt."""


@dataclass(frozen=True)
class Match:
    """Rows of the images that won and lost, and by how much."""

    winner: int
    loser: int
    margin: float


@dataclass(frozen=True)
class Pairs:
    """Pairs (`records.PAIRS`) in the curriculum's order, and how many images are in none, by reason."""

    table: pa.Table
    dropped: Counter[str]


def pairs_from_scores(
    candidates: pa.Table, scores: Float[np.ndarray, " n"], judge_name: str, rules: PairRules, is_human: bool = False
) -> Pairs:
    """Pairs of the images (`records.CANDIDATES`) that share prompt and size; NaN is an image that was not judged.

    The best goes against the worst, then the next best against the next worst, so that no image is in two pairs. The
    result does not depend on the order of the rows.
    """
    if len(scores) != candidates.num_rows:
        raise ValueError(f"{len(scores)} scores of {candidates.num_rows} candidates; allowed: one each")
    rows = candidates.select(["sample_id", "prompt", "category", "width", "height"]).to_pylist()
    groups: dict[tuple[str, int, int], dict[str, int]] = defaultdict(dict)
    dropped = Counter[str]()
    for number in sorted(range(len(rows)), key=lambda number: rows[number]["sample_id"]):
        row = rows[number]
        group = groups[row["prompt"], row["width"], row["height"]]
        dropped["repeated"] += row["sample_id"] in group
        group.setdefault(row["sample_id"], number)
    found: list[dict[str, Any]] = []
    for key in sorted(groups):
        numbers = list(groups[key].values())
        matches, why = best_against_worst(scores[numbers], rules)
        dropped.update(why)
        for match in matches:
            winner, loser = rows[numbers[match.winner]], rows[numbers[match.loser]]
            found.append(pair_row(winner, loser, match.margin, judge_name, is_human, rules))
    return Pairs(in_order(found, rules), +dropped)


def best_against_worst(scores: Float[np.ndarray, " n"], rules: PairRules) -> tuple[list[Match], Counter[Reason]]:
    """At most `pairs_per_prompt` matches of one prompt's images, widest margin first, and why the others are in none.

    Among equal scores the earlier row stands higher.
    """
    judged = np.flatnonzero(~np.isnan(scores))
    order = judged[np.argsort(-scores[judged], kind="stable")]
    matches: list[Match] = []
    dropped: Counter[Reason] = Counter({"unjudged": len(scores) - len(judged), "alone": len(order) % 2})
    half = len(order) // 2
    for winner, loser in zip(order[:half].tolist(), order[::-1][:half].tolist(), strict=True):
        margin = float(scores[winner] - scores[loser])
        why = why_not(margin, rules) or ("spare" if len(matches) == rules.pairs_per_prompt else None)
        if why:
            dropped[why] += 2
        else:
            matches.append(Match(winner, loser, margin))
    return matches, +dropped


def why_not(margin: float, rules: PairRules) -> Reason | None:
    """Why two images with this margin are no pair; None if they are one."""
    if margin <= 0 or margin < rules.min_margin:
        return "tie"
    return "beyond_max_margin" if rules.max_margin is not None and margin > rules.max_margin else None


def order_by_margin(margins: Float[np.ndarray, " n"], curriculum: Curriculum, seed: int) -> Int64[np.ndarray, " n"]:
    """The permutation that puts the pairs to be shown first in front; seeded.

    A training goes through them in this order, or draws from a part at the front that grows with its steps.
    `easy_first`: widest margin first. `moderate_first`: from the median outwards, by rank, so that neither near-ties,
    which are often wrong, nor caricatures, which teach the least, come first. `none`: shuffled, as pairs of equal
    margin are in any case.

    Source: pairs of moderate difference first as in Z-Image, arXiv:2511.22699 (its schedule is not published: ours).
    """
    shuffled = np.random.default_rng(seed).permutation(len(margins))
    if curriculum == "none":
        return shuffled
    # Half a rank for each equal margin below and above: equal margins have equal ranks.
    ordered = np.sort(margins)
    rank = (np.searchsorted(ordered, margins, "left") + np.searchsorted(ordered, margins, "right")) / 2
    late = -rank if curriculum == "easy_first" else np.abs(rank - len(margins) / 2)
    return shuffled[np.argsort(late[shuffled], kind="stable")]


def outcomes(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """1 where `a` scores higher than `b`, 0.5 where they tie, 0 where lower; NaN where either was not judged."""
    won = 0.5 + 0.5 * np.sign(np.asarray(a, np.float64) - b)
    return np.where(np.isnan(a) | np.isnan(b), np.nan, won)


def pair_row(
    winner: dict[str, Any], loser: dict[str, Any], margin: float, judge_name: str, is_human: bool, rules: PairRules
) -> dict[str, Any]:
    """A row of `records.PAIRS` for two candidates of one prompt."""
    return {
        "prompt": winner["prompt"],
        "winner": winner["sample_id"],
        "loser": loser["sample_id"],
        "judge": judge_name,
        "margin": margin,
        "is_human": is_human,
        "split": split_of(winner["prompt"], rules),
        "category": winner["category"],
    }


def in_order(rows: Sequence[dict[str, Any]], rules: PairRules) -> pa.Table:
    """`rows` as a table in the curriculum's order."""
    margins = np.array([row["margin"] for row in rows], np.float64)
    order = order_by_margin(margins, rules.curriculum, rules.seed)
    return pa.Table.from_pylist([rows[number] for number in order], schema=PAIRS)
