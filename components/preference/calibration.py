"""Whether an annotator looks: a test on pairs of known order before she counts, and what her repeats say later.

Each pair is shown twice, with sides exchanged, so that somebody who always clicks left is right in half of the votes
and agrees with herself in none. Whoever clicks at random is consistent in half of the repeats, somebody who errs in a
share e of her votes in (1 - e)^2 + e^2 of them: 0.82 for 10 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from components.preference.swiss import POINTS, Match
from components.preference.votes import Choice

Choices = Mapping[Match, Choice]


@dataclass(frozen=True)
class Known:
    """Two images of which one is better beyond doubt."""

    better: str
    worse: str


@dataclass(frozen=True)
class CalibrationRules:
    """What a test must show: shares in [0, 1], and how improbable a preference for one side may be.

    `min_accuracy` of the votes are right (a tie is half), `min_consistency` of the repeats agree, and clicks as
    lopsided as these have at least the probability `min_side_p` for somebody who has no preferred side.
    """

    min_accuracy: float
    min_consistency: float
    min_side_p: float

    def __post_init__(self) -> None:
        for name in ("min_accuracy", "min_consistency", "min_side_p"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 0 to 1")


@dataclass(frozen=True)
class Reliability:
    """What an annotator's votes say of herself.

    `left_share` is of the votes that were no ties, `side_p` the two-sided binomial test of one half; `consistency` is
    the share of repeats that agree with the first time (a tie against a choice is half), None without repeats.
    """

    num_votes: int
    num_ties: int
    left_share: float
    side_p: float
    num_repeats: int
    consistency: float | None


@dataclass(frozen=True)
class Verdict:
    """Whether an annotator counts, and every reason why not."""

    has_passed: bool
    accuracy: float
    reliability: Reliability
    reasons: list[str]


def calibration_matches(known: Sequence[Known], seed: int) -> list[Match]:
    """Every pair once, with its better image on the left for half of them, then all again with sides exchanged.

    Both times in a random order that follows from `seed`.
    """
    drawn = np.random.default_rng(seed)
    order = drawn.permutation(len(known)).tolist()
    first = [
        (known[place].better, known[place].worse)[:: 1 if number % 2 else -1] for number, place in enumerate(order)
    ]
    shown = [first[place] for place in drawn.permutation(len(known)).tolist()]
    again = [first[place][::-1] for place in drawn.permutation(len(known)).tolist()]
    matches = [Match(0, number, left, right, False) for number, (left, right) in enumerate(shown)]
    return matches + [Match(1, number, left, right, True) for number, (left, right) in enumerate(again)]


def reliability(choices: Choices) -> Reliability:
    """Which side was preferred, and how often a repeat came to the same: of a calibration or of a tournament."""
    values = list(choices.values())
    left, decided = values.count("a"), len(values) - values.count("tie")
    first: dict[tuple[str, str], Choice] = {
        (match.left, match.right): choice for match, choice in choices.items() if not match.is_repeat
    }
    agreements: list[float] = []
    for match, choice in choices.items():
        before = first.get((match.right, match.left)) if match.is_repeat else None
        if before:
            agreements.append(1 - abs(POINTS[choice] - (1 - POINTS[before])))
    return Reliability(
        num_votes=len(values),
        num_ties=len(values) - decided,
        left_share=left / decided if decided else 0.5,
        side_p=float(binomtest(left, decided).pvalue) if decided else 1.0,
        num_repeats=len(agreements),
        consistency=float(np.mean(agreements)) if agreements else None,
    )


def calibrate(choices: Choices, known: Sequence[Known], rules: CalibrationRules) -> Verdict:
    """Whether somebody who chose this in `calibration_matches(known)` may annotate; all of them must be answered."""
    is_known = {(pair.better, pair.worse) for pair in known}
    points = {match: POINTS[choice] for match, choice in choices.items()}
    rights = [won if (match.left, match.right) in is_known else 1 - won for match, won in points.items()]
    if len(rights) != 2 * len(known) or not rights:
        raise ValueError(f"{len(rights)} answers to {len(known)} pairs; allowed: two for each, of one pair or more")
    found, accuracy = reliability(choices), float(np.mean(rights))
    reasons: list[str] = []
    if accuracy < rules.min_accuracy:
        reasons.append(f"right in {accuracy:.0%} of the votes; needed: {rules.min_accuracy:.0%}")
    if found.consistency is not None and found.consistency < rules.min_consistency:
        reasons.append(f"the same again in {found.consistency:.0%} of the repeats; needed: {rules.min_consistency:.0%}")
    if found.side_p < rules.min_side_p:
        reasons.append(f"the left image in {found.left_share:.0%} of the votes, however the sides were dealt")
    return Verdict(not reasons, accuracy, found, reasons)
