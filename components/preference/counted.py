"""Whose votes count once tournaments become labels and pairs: who passed the test, and looked until the end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.preference.calibration import CalibrationRules, Reliability, reliability
from components.preference.votes_log import LoggedVote, last_choices

MIN_REPEATS = 10
"""Fewer repeats do not show whether somebody agrees with herself: of ten, who errs in 10 % repeats six or more."""


@dataclass(frozen=True)
class Annotator:
    """What the logs of one annotator say of her; `reasons` why her votes do not count, none if they do."""

    name: str
    num_votes: int
    reliability: Reliability
    reasons: list[str]

    @property
    def counts(self) -> bool:
        """Whether her votes may become labels and pairs."""
        return not self.reasons


def judged(name: str, tested: Sequence[LoggedVote], votes: list[LoggedVote], rules: CalibrationRules) -> Annotator:
    """An annotator by her calibration, `tested`, and her `votes`, which a session takes only after she passed it."""
    found = reliability(last_choices(votes))
    reasons: list[str] = []
    if not tested:
        reasons.append("was not tested before she voted")
    if found.side_p < rules.min_side_p:
        reasons.append(f"chose the left image in {found.left_share:.0%} of the votes, however the sides were dealt")
    if found.consistency is not None and found.num_repeats >= MIN_REPEATS and found.consistency < rules.min_consistency:
        reasons.append(f"the same again in {found.consistency:.0%} of the repeats; needed: {rules.min_consistency:.0%}")
    return Annotator(name, found.num_votes, found, reasons)


def settled_votes(votes: Iterable[LoggedVote]) -> list[LoggedVote]:
    """The last vote on each match, without the repeats, which only show whether somebody agrees with herself."""
    return list({vote.match: vote for vote in votes if not vote.is_repeat}.values())
