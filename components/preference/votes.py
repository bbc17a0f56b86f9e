"""Votes of people as pairs. The file is JSONL to which a voting page appends one object per vote.

    {"prompt": "a red fox", "image_a": SAMPLE_ID, "image_b": SAMPLE_ID, "choice": "a", "annotator": "p7", "time": 1.5e9}

`choice` is a, b or tie; `time` is in seconds since 1970; which image stood left says nothing. Of several votes of one
annotator on one pair of images only the last counts.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from components.data.errors import DataError
from components.data.readers.interface import printable
from components.preference.config import PairRules
from components.preference.json_rows import number_of, rows_of_lines, text_of
from components.preference.pairs import Pairs, in_order, pair_row, why_not
from components.preference.prompts import normalised

Choice = Literal["a", "b", "tie"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
JUDGE = "votes"
_MAX_NAME_CHARACTERS = 200


@dataclass(frozen=True)
class Vote:
    """What one person chose, and when (seconds since 1970)."""

    prompt: str
    image_a: str
    image_b: str
    choice: Choice
    annotator: str
    time: float


def read_votes(file: Path) -> list[Vote]:
    """The votes in `file`, which may be growing: a last line that is not finished is left out.

    DataError naming file and line for a vote that says something else than it may.
    """
    return [_vote(row, place) for place, row in rows_of_lines(file, is_growing=True)]


def pairs_from_votes(
    votes: Iterable[Vote], categories: Mapping[str, str], rules: PairRules, *, evaluation: Iterable[str] = ()
) -> Pairs:
    """A pair for every two images on which there is a majority: margin = (wins - losses) / votes, in (0, 1].

    Ties count as votes for neither. Every decided pair within the margins is kept, however many a prompt has.
    `categories` are those of the prompts, as far as they are known. Votes in = counted in pairs + dropped, by reason:
    `evaluation_prompt` (it stands, normalised, in `evaluation`), `changed` (a later one of the same person), `tie` and
    `beyond_max_margin` (all votes on that pair).
    """
    asked = {normalised(prompt) for prompt in evaluation}
    last: dict[tuple[str, str, str, str], Vote] = {}
    dropped = Counter[str]()
    for vote in sorted(votes, key=lambda vote: vote.time):  # a stable sort: of equal times the later line counts
        if normalised(vote.prompt) in asked:
            dropped["evaluation_prompt"] += 1
            continue
        first, second = sorted((vote.image_a, vote.image_b))
        key = vote.prompt, first, second, vote.annotator
        dropped["changed"] += key in last
        last[key] = vote
    tally: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for (prompt, first, second, _), vote in last.items():
        tally[prompt, first, second][_chosen(vote)] += 1
    rows: list[dict[str, Any]] = []
    for (prompt, first, second), count in sorted(tally.items()):
        lead = (count[first] - count[second]) / count.total()
        reason = why_not(abs(lead), rules)
        if reason:
            dropped[reason] += count.total()
            continue
        images = (first, second) if lead > 0 else (second, first)
        winner, loser = (
            {"sample_id": image, "prompt": prompt, "category": categories.get(prompt, "")} for image in images
        )
        rows.append(pair_row(winner, loser, abs(lead), JUDGE, True, rules))
    return Pairs(in_order(rows, rules), +dropped)


def _chosen(vote: Vote) -> str:
    """The sample id of the image that was chosen; "" for a tie."""
    return {"a": vote.image_a, "b": vote.image_b, "tie": ""}[vote.choice]


def _vote(row: Mapping[str, Any], place: str) -> Vote:
    choice: Any = row.get("choice")
    if choice not in CHOICES:
        raise DataError(f"{place}: 'choice' is {printable(repr(choice))[:80]}; allowed: {', '.join(CHOICES)}")
    names = [text_of(row, key, place, max_characters=_MAX_NAME_CHARACTERS) for key in ("image_a", "image_b")]
    if names[0] == names[1]:
        raise DataError(f"{place}: both images are {printable(names[0])}; show two different ones")
    annotator = text_of(row, "annotator", place, max_characters=_MAX_NAME_CHARACTERS)
    time = number_of(row.get("time"), "time", place)
    return Vote(text_of(row, "prompt", place), names[0], names[1], choice, annotator, time)
