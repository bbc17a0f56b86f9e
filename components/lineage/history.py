"""A record's history and what was made of it, for people and machines: one record in few words, and trees of them.

In a tree every record stands once, at the end of the shortest way to it, so that a chain of thirty stages whose images
are read by half of them stays a page; `also` names the neighbours that stand elsewhere in the tree. Of an evaluation
hangs only what nothing else leads to: it read every model, and would else take the stages from what was made of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from components.lineage.chain import measured_by
from components.lineage.graph import Graph
from components.lineage.record import Record


@dataclass(frozen=True)
class Branch:
    """A record in a tree: what hangs below it, and ids of direct neighbours that hang elsewhere.

    `num_left_out` neighbours lie deeper than was asked for.
    """

    record_id: str
    branches: tuple["Branch", ...]
    also: tuple[str, ...]
    num_left_out: int = 0


def tree(graph: Graph, record_id: str, *, forward: bool = False, depth: int | None = None) -> Branch:
    """What the record stands on, or with `forward` what stands on it, at most `depth` edges away."""
    hung: dict[str, list[str]] = {record_id: []}
    row, late, left = [record_id], list[str](), depth
    while (row or late) and left != 0:
        after: list[str] = []
        for one in row:
            beside = measured_by(graph.record(one)) if depth is None and not forward else frozenset[str]()
            for other in _next(graph, one, forward):
                if other not in hung:
                    hung[other] = []
                    hung[one].append(other)
                    (late if other in beside else after).append(other)
        if not after:
            after, late = late, []
        row, left = after, None if left is None else left - 1

    def branch(one: str) -> Branch:
        others = [other for other in _next(graph, one, forward) if other not in hung[one]]
        also = tuple(other for other in others if other in hung)
        return Branch(one, tuple(map(branch, hung[one])), also, len(others) - len(also))

    return branch(record_id)


def _next(graph: Graph, record_id: str, forward: bool) -> Sequence[str]:
    """The neighbours of a record: those nearest in time first, an evaluation after what it measured."""
    if forward:
        return graph.children(record_id)
    beside = measured_by(graph.record(record_id))
    return sorted(reversed(graph.parents(record_id)), key=lambda one: one in beside)


def tree_json(graph: Graph, branch: Branch) -> dict[str, Any]:
    """The tree as nested JSON: every record's summary, with `branches` and `also` (ids that stand elsewhere)."""
    below = [tree_json(graph, one) for one in branch.branches]
    told = summary(graph, branch.record_id)
    return told | {"also": list(branch.also), "branches": below, "num_left_out": branch.num_left_out}


def summary(graph: Graph, record_id: str) -> dict[str, Any]:
    """One record in few words: what, when, by whom, from which code, which samples, what was measured."""
    record = graph.record(record_id)
    return {
        "record": record_id,
        "kind": record.kind,
        "subject": record.subject,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "seconds": seconds(record),
        "people": record.people,
        "commit": str(record.code.get("commit", "")),
        "is_dirty": is_dirty(record),
        "is_observed": is_observed(record),
        "is_promotable": record.is_promotable,
        "samples": {one.role: one.count for one in record.samples.sets},
        "dropped": record.samples.dropped,
        "measures": record.measures,
        "decision": record.decision,
        "inputs": [
            {"path": item.path, "sha256": item.sha256, "size": item.size, "made_by": item.made_by}
            for item in record.inputs
        ],
        "outputs": [{"path": item.path, "sha256": item.sha256, "size": item.size} for item in record.outputs],
        "failed_checks": [check.name for check in record.checks if not check.is_passed],
        "missing": list(graph.missing(record_id)),
        "notes": list(record.notes),
    }


def is_dirty(record: Record) -> bool:
    """Whether the code differed from its commit."""
    return record.code.get("is_dirty") is True


def is_observed(record: Record) -> bool:
    """Whether nobody watched its outputs being made: they lay there, in a cache or from before there was a ledger."""
    return bool(record.people.get("observed_by"))


def marks(record: Record) -> list[str]:
    """What a reader should know at once: `dirty`, `observed`, `not promotable`, and checks that failed."""
    said = {"dirty": is_dirty(record), "observed": is_observed(record), "not promotable": not record.is_promotable}
    failed = [
        f"{check.name} {f'waived by {check.waived_by}' if check.waived_by else 'failed'}"
        for check in record.checks
        if not check.is_passed
    ]
    return [*(word for word, holds in said.items() if holds), *failed]


def who(record: Record) -> str:
    """Who asked and who approved, in half a line."""
    said = [str(record.people.get(key) or "") for key in ("asked_by", "approved_by", "by", "observed_by")]
    return " and ".join(dict.fromkeys(filter(None, said)))


def seconds(record: Record) -> int:
    """How long it took, to the second; 0 where the times are no times, or the clock went backwards."""
    try:
        between = datetime.fromisoformat(record.ended_at) - datetime.fromisoformat(record.started_at)
        return max(0, round(between.total_seconds()))
    except (ValueError, TypeError):
        return 0


def key_figures(record: Record, most: int = 3) -> list[tuple[str, str]]:
    """The first few measures, to four digits."""
    return [(name, figure(value)) for name, value in list(record.measures.items())[:most]]


def figure(value: str) -> str:
    """A decimal string to four digits; another string as it is."""
    try:
        return f"{float(value):.4g}" if "." in value or "e" in value else f"{int(value):,}"
    except ValueError:
        return value


def flat(value: Any, place: str = "") -> dict[str, str]:
    """Every leaf of nested objects and lists by its path (`optimiser.lr`, `sizes[2]`), as text."""
    if isinstance(value, dict):
        pairs = cast(dict[str, Any], value).items()
        parts = [flat(one, f"{place}.{key}" if place else key) for key, one in pairs]
    elif isinstance(value, list | tuple):
        parts = [flat(one, f"{place}[{number}]") for number, one in enumerate(cast(Sequence[Any], value))]
    else:
        return {place: _word(value)}
    return {key: one for part in parts for key, one in part.items()}


def _word(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case _:
            return str(value)
