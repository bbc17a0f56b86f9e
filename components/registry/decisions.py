"""Who became champion, when, why and by whose word: the records, and what follows from them. Nothing here knows MLflow.

The alias is the truth, the records explain it. A record is written as begun before the alias moves and as done after,
so whatever a killed process leaves can be told apart: begun and the alias moved means that it happened, begun and the
alias not moved that it did not. An alias that no record explains was moved by hand, which becomes a record of its own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

MAX_REASON_CHARS, MAX_PERSON_CHARS = 1000, 100


class PromotionError(ValueError):
    """A version cannot become champion, or none can be restored; one line says why and what to do."""


@dataclass(frozen=True)
class Decision:
    """One move of the alias from version `before` to `version`; None is no champion.

    `asked_by` is the first of two persons, "" where one was enough. `checks` are what the gate found, rule by rule;
    `is_override` says that it had not opened. `at` is UTC, ISO 8601.
    """

    number: int
    kind: Literal["promote", "rollback", "outside", "withdraw"]
    version: int | None
    before: int | None
    digest: str
    reason: str
    by: str
    at: str
    asked_by: str = ""
    is_override: bool = False
    checks: Sequence[Mapping[str, Any]] = ()
    is_done: bool = False


@dataclass(frozen=True)
class Request:
    """What the first of two persons asked for: that this version follow this champion."""

    version: int
    champion: int | None
    digest: str
    reason: str
    by: str
    at: str
    is_override: bool

    def is_answered_by(self, decision: Decision) -> bool:
        """Whether a second person decides about the same: same bytes, same champion, same verdict of the gate."""
        decided = (decision.version, decision.before, decision.digest, decision.is_override)
        return decided == (self.version, self.champion, self.digest, self.is_override)


def to_json(record: Decision | Request) -> str:
    """The record as one line, as it stands in the registry."""
    return json.dumps(asdict(record), sort_keys=True, ensure_ascii=False)


def decision_from_json(text: str, where: str) -> Decision:
    """The decision that `to_json` wrote; PromotionError, with `where`, for a text that somebody changed."""
    try:
        return Decision(**json.loads(text))
    except (ValueError, TypeError):
        raise PromotionError(f"{where} is not what easel wrote there; restore or delete it in MLflow") from None


def request_from_json(text: str, where: str) -> Request:
    """The request that `to_json` wrote; PromotionError, with `where`, for a text that somebody changed."""
    try:
        return Request(**json.loads(text))
    except (ValueError, TypeError):
        raise PromotionError(f"{where} is not what easel wrote there; delete it in MLflow and ask again") from None


def said(text: str, what: str, max_chars: int = MAX_REASON_CHARS) -> str:
    """What a person said, on one line; PromotionError if that is nothing or too much."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    if not line:
        raise PromotionError(f"the {what} is empty; it is kept with the decision, so say it")
    if len(line) > max_chars:
        raise PromotionError(f"the {what} has {len(line)} characters; at most {max_chars} are kept")
    return line


def settled(decisions: Sequence[Decision], champion: int | None, noticed_at: str) -> list[Decision]:
    """The history as the alias, at version `champion`, shows it to be: see the module's docstring."""
    history = list(decisions)
    if history and not history[-1].is_done:
        last = history.pop()
        if last.version == champion:
            history.append(replace(last, is_done=True))
    explained = history[-1].version if history else None
    if champion != explained:
        number = history[-1].number + 1 if history else 1
        reason = "the alias was moved by hand, not by easel"
        moved = Decision(number, "outside", champion, explained, "", reason, "unknown", noticed_at, is_done=True)
        history.append(moved)
    return history


def previous_champion(history: Sequence[Decision]) -> int | None:
    """The version that a rollback restores: the champion before the present one; None if there was none.

    A rollback takes back the promotion before it, so two in a row go two champions back, and never to and fro. So does
    a move by hand to an earlier champion. One that was withdrawn does not come back.
    """
    champions: list[int] = []
    for decision in history:
        if decision.kind == "withdraw":
            champions = [one for one in champions if one != decision.before]
        if decision.version is None:
            continue
        if decision.kind != "promote" and decision.version in champions:
            while champions[-1] != decision.version:
                champions.pop()
        else:
            champions.append(decision.version)
    if history and history[-1].version is not None:
        champions = champions[:-1]
    return champions[-1] if champions else None
