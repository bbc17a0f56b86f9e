"""What differs between two versions of the data set: images that came and went, and every count that changed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from components.data.report.summary import GROUPS, Summary
from components.data.report.tables import align

_MEMBER_GROUPS = ("category", "source", "licence", "style", "split")


@dataclass(frozen=True)
class Version:
    """One version: its figures, and its selected images with their groups (None where only the figures are known)."""

    name: str
    summary: Summary
    members: pa.Table | None = None


@dataclass(frozen=True)
class Change:
    """A count that changed; of selected images also how many came and went (None: the images are not known)."""

    group: str
    name: str
    before: int
    after: int
    came: int | None = None
    went: int | None = None


@dataclass(frozen=True)
class Difference:
    """All that changed; `regrouped` images are in both versions under another category or split."""

    before: str
    after: str
    came: int | None
    went: int | None
    regrouped: int | None
    changes: tuple[Change, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the two versions are the same."""
        return not (self.came or self.went or self.regrouped or self.changes)


def members(selection: pa.Table, catalogue: pa.Table) -> pa.Table:
    """The selected images with what they are counted by."""
    origin = align(catalogue, selection.column("sample_id").combine_chunks())
    columns = {name: selection.column(name) for name in ("sample_id", "category", "style", "split")}
    return pa.table(columns | {name: origin.column(name) for name in ("source", "licence")})


def difference(before: Version, after: Version) -> Difference:
    """What changed from `before` to `after`; swapped arguments give the same changes the other way round."""
    moves = _moves(before.members, after.members)
    counts = [_counts(version.summary) for version in (before, after)]
    changes = [
        Change(group, name, was, now, *(moves.of(group, name) if moves else (None, None)))
        for group, name in dict.fromkeys([*counts[0], *counts[1]])
        for was, now in [(counts[0].get((group, name), 0), counts[1].get((group, name), 0))]
        if was != now or (moves and any(moves.of(group, name)))
    ]
    changes.sort(key=lambda change: (_ORDER.index(change.group), -abs(change.after - change.before), change.name))
    return Difference(
        before.name,
        after.name,
        moves.num_came if moves else None,
        moves.num_went if moves else None,
        moves.num_regrouped if moves else None,
        tuple(changes),
    )


@dataclass(frozen=True)
class _Moves:
    came: Mapping[tuple[str, str], int]
    went: Mapping[tuple[str, str], int]
    num_came: int
    num_went: int
    num_regrouped: int

    def of(self, group: str, name: str) -> tuple[int, int] | tuple[None, None]:
        is_counted = group.removeprefix(_SELECTED) in _MEMBER_GROUPS
        return (self.came.get((group, name), 0), self.went.get((group, name), 0)) if is_counted else (None, None)


_SELECTED = "selected by "
_ORDER = (*(f"{_SELECTED}{name}" for name in _MEMBER_GROUPS), "passed", "dropped", "captions")


def _moves(before: pa.Table | None, after: pa.Table | None) -> _Moves | None:
    """Which images came and went, by group; an image that changed its group left one and came to the other."""
    if before is None or after is None:
        return None
    was, now = ({row["sample_id"]: row for row in table.to_pylist()} for table in (before, after))
    came, went = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    regrouped = 0
    for sample_id in was.keys() | now.keys():
        old, new = was.get(sample_id), now.get(sample_id)
        differing = [name for name in _MEMBER_GROUPS if (old or {}).get(name) != (new or {}).get(name)]
        regrouped += bool(old and new and differing)
        if old:
            went.update((_SELECTED + name, old[name] or "") for name in differing)
        if new:
            came.update((_SELECTED + name, new[name] or "") for name in differing)
    return _Moves(came, went, len(now.keys() - was.keys()), len(was.keys() - now.keys()), regrouped)


def _counts(summary: Summary) -> dict[tuple[str, str], int]:
    """Every count that a difference tells of, by group and name."""
    counts = {
        (f"{_SELECTED}{group}", row[group]): row["selected"]
        for group in GROUPS
        for row in summary["groups"][group]
        if row["selected"]
    }
    counts |= {(f"{_SELECTED}split", name): number for name, number in summary["splits"].items()}
    for gate in summary["funnel"]:
        counts["passed", gate["gate"]] = gate["kept"]
        counts |= {("dropped", f"{gate['gate']}: {reason}"): number for reason, number in gate["dropped"].items()}
    return counts | {("captions", _caption_name(row)): row["number"] for row in summary["captions"]}


def _caption_name(row: Mapping[str, Any]) -> str:
    return ", ".join(row[key] for key in ("kind", "language", "maker") if row.get(key))
