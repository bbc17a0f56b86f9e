"""Which version is champion: what `easel promote`, `easel rollback` and `easel history` do.

One process of this workspace at a time decides (a file lock, which ends with the process).
"""

import fcntl
import getpass
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flows import settings
from flows.lineage.decision_records import evidence, keep_decision
from flows.parameters import PARAMS_FILE, read_gate
from flows.requests import FAMILIES, family_of

if TYPE_CHECKING:
    from components.registry.decisions import Decision, Request
    from components.registry.gate import Check
    from components.registry.promotion import Candidate

Result = Literal["promoted", "refused by the gate", "waits for a second person"]


@dataclass(frozen=True)
class Outcome:
    """What became of a wish to promote: `version` follows `before` as champion if it was promoted.

    `beaten_by` are other versions that are as good in every metric of the gate and better in one: a person's to weigh.
    `notes` are remarks on the version's history in the ledger.
    """

    name: str
    version: int
    before: int | None
    result: Result
    checks: "Sequence[Check]"
    beaten_by: Sequence[str]
    notes: Sequence[str] = ()


def promote(root: Path, model: str, *, reason: str, by: str = "", override: bool = False) -> Outcome:
    """Make `model` (a version, an alias, `turbo:3`) champion if the gate opens, or with `override` if it does not.

    Where the gate asks for two persons, the first one's wish is kept, and the second one's, about the same bytes, the
    same champion and the same verdict, moves the alias. Names are claims: who may write to the store may promote.

    Each answer is kept in the ledger. What the ledger does not know, or knows as not promotable, needs `override` too.

    Raises:
        ValueError: in one line, for what cannot be promoted whatever the gate says.
    """
    from components.registry.decisions import Decision, PromotionError, said
    from components.registry.gate import beaten_by, judge, passes
    from components.registry.promotion import candidate, candidates, carry_out, check_whole, settle

    reason, by = said(reason, "reason"), person(by)
    (name, _, wanted), uri, at = family_of(model), settings.tracking_uri(root), now()
    gate = read_gate(root / PARAMS_FILE, name)
    with deciding(root):
        found = candidate(uri, name, wanted)
        standing = settle(uri, name, at)
        before = standing.champion
        if found.number == before:
            raise PromotionError(f"version {before} of {name} is champion already")
        checks = judge(gate, found.metrics, candidate(uri, name, str(before)).metrics if before is not None else None)
        others = {str(one.number): one.metrics for one in candidates(uri, name)}
        better = beaten_by(gate, others | {str(found.number): found.metrics})[str(found.number)]
        basis = evidence(root, name, found.number, found.digest)
        is_open = passes(checks) and not basis.fault
        decision = Decision(
            standing.next_number, "promote", found.number, before, found.digest, reason, by, at,
            is_override=not is_open, checks=[asdict(check) for check in checks],
        )  # fmt: skip

        def told(result: Result) -> Outcome:
            keep_decision(root, name, decision, result, basis)
            return Outcome(name, found.number, before, result, checks, better, basis.notes)

        if not passes(checks) and not override:
            return told("refused by the gate")
        check_whole(uri, found)
        if basis.fault and not override:
            raise PromotionError(basis.fault)
        if gate.needs_second_person:
            seconded = _seconded(uri, found, decision, standing.requests.get(found.number))
            if seconded is None:
                return told("waits for a second person")
            decision = seconded
        carry_out(uri, name, decision)
        return told("promoted")


def _seconded(uri: str, found: "Candidate", decision: "Decision", asked: "Request | None") -> "Decision | None":
    """The decision as two persons take it; None where this is the first, whose wish is kept."""
    from components.registry.decisions import PromotionError, Request
    from components.registry.promotion import ask

    if asked is None or not asked.is_answered_by(decision):
        about = (found.number, decision.before, found.digest)
        ask(uri, found.name, Request(*about, decision.reason, decision.by, decision.at, decision.is_override))
        return None
    if asked.by == decision.by:
        raise PromotionError(
            f"{asked.by} asked for version {asked.version} already; a second person must ask for it too"
        )
    return replace(decision, asked_by=asked.by, reason=f"{asked.reason} / {decision.reason}")


def rollback(root: Path, family: str = "", *, reason: str, by: str = "") -> "Decision":
    """Restore the champion before the present one, in one step: no gate and no second person stand in the way.

    Raises:
        ValueError: in one line: there was none, it is no longer whole, or a takedown withdrew it.
    """
    from components.registry.decisions import Decision, PromotionError, previous_champion, said
    from components.registry.promotion import candidate, carry_out, check_whole, settle

    reason, by = said(reason, "reason"), person(by)
    name, uri, at = registered_name(family), settings.tracking_uri(root), now()
    with deciding(root):
        standing = settle(uri, name, at)
        previous = previous_champion(standing.history)
        if previous is None:
            raise PromotionError(f"{name} had no champion before; `easel promote VERSION --reason ...` makes one")
        found = candidate(uri, name, str(previous))
        check_whole(uri, found)
        basis = evidence(root, name, previous, found.digest)
        if basis.withdrawn:
            raise PromotionError(f"version {previous} of {name} was {basis.withdrawn}; `easel promote` another version")
        number, before = standing.next_number, standing.champion
        decision = Decision(number, "rollback", previous, before, found.digest, reason, by, at)
        carry_out(uri, name, decision)
        keep_decision(root, name, decision, "rolled back", basis)
    return decision


def history(root: Path, family: str = "") -> "list[Decision]":
    """Every decision about a family's champion, oldest first; nothing is written."""
    from components.registry.promotion import standing

    return standing(settings.tracking_uri(root), registered_name(family), now()).history


def registered_name(family: str) -> str:
    """The registered name of a family of models.

    Raises:
        ValueError: there is no such family.
    """
    if family not in FAMILIES:
        raise ValueError(f"no family of models is called {family!r}; there are: {', '.join(filter(None, FAMILIES))}")
    return FAMILIES[family][0]


def person(by: str) -> str:
    """Whose word it is: `by`, or the login as the system tells it; ValueError where neither says."""
    from components.registry.decisions import MAX_PERSON_CHARS, said

    try:
        by = by or getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container whose user has no name
        raise ValueError("the system tells no name of yours; say who decides, with --by") from None
    return said(by, "person's name", MAX_PERSON_CHARS)


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def deciding(root: Path) -> Generator[None]:
    """The right to move aliases, for one process of this workspace at a time, until the block or the process ends."""
    file = settings.home(root) / "promotion.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
