"""What differs between the histories of two records: stages, code, parameters, environment, samples, measures.

Stages are matched by name; of several records of one stage in a history the newest counts. Samples are compared as
sorted arrays of 32-byte digests: first by their leading 64 bits, which numpy searches quickly, then by all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.lineage.chain import EVALUATION_ROLE
from components.lineage.graph import Graph
from components.lineage.history import flat
from components.lineage.record import Record

Rows = NDArray[np.uint8]
"""Sample ids, sorted, one in each row of 32 bytes."""
Describe = Callable[[Sequence[str]], Mapping[str, Mapping[str, str]]]
"""From sample ids to what is known of each: `source`, `licence`."""
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Change:
    """A value that differs: where, and both values ("" where there is none)."""

    place: str
    old: str
    new: str


@dataclass(frozen=True)
class SampleChange:
    """Samples of one role that only one side has, in a stage, or in the whole history (`stage` is "").

    `by` counts those that came and went by kind (`source`, `licence`) and value, as (came, went). `missing` are roots
    of sets that the ledger does not hold, so that the figures are of the others.
    """

    stage: str
    role: str
    old_count: int
    new_count: int
    num_added: int
    num_removed: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    by: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict[str, Mapping[str, tuple[int, int]]])
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Differences:
    """What differs between the histories of records `old` and `new`; places of parameters begin with the stage."""

    old: str
    new: str
    stages_added: tuple[str, ...]
    stages_removed: tuple[str, ...]
    stages_shared: tuple[str, ...]
    commits: tuple[Change, ...]
    modules: tuple[Change, ...]
    parameters: tuple[Change, ...]
    environment: tuple[Change, ...]
    inputs: tuple[Change, ...]
    samples: tuple[SampleChange, ...]
    measures: tuple[Change, ...]


def differences(
    graph: Graph,
    old: str,
    new: str,
    sample_set: Callable[[str], bytes],
    *,
    describe: Describe | None = None,
    max_ids: int = 20,
) -> Differences:
    """What differs between the histories of two records.

    Args:
        graph: the records.
        old: the id of a record.
        new: the id of another, which is said to have changed.
        sample_set: the packed bytes of a set by its root; ValueError or OSError where it is not held.
        describe: what is known of samples; without it they are only counted.
        max_ids: at most so many ids of each change are listed.
    """
    before, after = _stages(graph, old), _stages(graph, new)
    both = [name for name in after if name in before]
    changed = [name for name in both if before[name].id != after[name].id]
    pairs = {name: (before[name], after[name]) for name in changed}
    sets = _Sets(sample_set)
    return Differences(
        old,
        new,
        stages_added=tuple(name for name in after if name not in before),
        stages_removed=tuple(name for name in before if name not in after),
        stages_shared=tuple(name for name in both if name not in pairs),
        commits=_merged(pairs, lambda record: {"commit": str(record.code.get("commit", ""))}),
        modules=_merged(pairs, lambda record: flat(record.code.get("modules") or {})),
        parameters=_by_stage(pairs, lambda record: flat(record.parameters)),
        environment=_merged(pairs, lambda record: flat(record.environment)),
        inputs=_sources(graph, old, new),
        samples=tuple(_sample_changes(before, after, sets, describe, max_ids)),
        measures=_measures(before, after),
    )


def _stages(graph: Graph, record_id: str) -> dict[str, Record]:
    """The newest record of each stage in a history, in the order in which the stages ran.

    Of an evaluation that was read beside the weights, itself alone: what it measured too is no part of this history.
    """
    beside = {item.made_by for item in graph.record(record_id).inputs if item.role == EVALUATION_ROLE}
    parents = graph.parents(record_id)
    above = {one.id for parent in parents if parent not in beside for one in graph.above(parent)}
    history = sorted(above.union(parents, [record_id]), key=graph.index)
    return {one.subject: one for one in map(graph.record, history) if one.kind == "stage"}


def _changes(old: Mapping[str, str], new: Mapping[str, str], prefix: str = "") -> list[Change]:
    places = sorted(old.keys() | new.keys())
    return [
        Change(prefix + place, old.get(place, ""), new.get(place, ""))
        for place in places
        if old.get(place) != new.get(place)
    ]


def _by_stage(
    pairs: Mapping[str, tuple[Record, Record]], facts: Callable[[Record], dict[str, str]]
) -> tuple[Change, ...]:
    return tuple(
        change for name, (old, new) in pairs.items() for change in _changes(facts(old), facts(new), f"{name}.")
    )


def _merged(
    pairs: Mapping[str, tuple[Record, Record]], facts: Callable[[Record], dict[str, str]]
) -> tuple[Change, ...]:
    """Changes that stages share, each once."""
    found = [change for old, new in pairs.values() for change in _changes(facts(old), facts(new))]
    return tuple(sorted(set(found), key=lambda change: (change.place, change.old, change.new)))


def _sources(graph: Graph, old: str, new: str) -> tuple[Change, ...]:
    """What was read from outside, by path."""
    before, after = ({item.path: item.sha256 for item in graph.sources(one)} for one in (old, new))
    return tuple(_changes(before, after))


def _measures(before: Mapping[str, Record], after: Mapping[str, Record]) -> tuple[Change, ...]:
    """Every measure of the stages of both sides, beside each other, whether it changed or not."""
    old, new = (
        {f"{name}.{key}": value for name, record in side.items() for key, value in record.measures.items()}
        for side in (before, after)
    )
    return tuple(Change(place, old.get(place, ""), new.get(place, "")) for place in sorted(old.keys() | new.keys()))


class _Sets:
    """Sample sets by their roots, each read once."""

    def __init__(self, sample_set: Callable[[str], bytes]) -> None:
        self._read, self._known, self.missing = sample_set, dict[str, Rows](), set[str]()

    def rows(self, roots: Sequence[str]) -> Rows:
        """The union of sets, of those that are held."""
        found = np.zeros((0, 32), np.uint8)
        for root in sorted(set(roots)):
            if root not in self._known:
                try:
                    self._known[root] = rows_of(self._read(root))
                except (ValueError, OSError):
                    self.missing.add(root)
                    continue
            found = union(found, self._known[root])
        return found


def _sample_changes(
    before: Mapping[str, Record], after: Mapping[str, Record], sets: _Sets, describe: Describe | None, most: int
) -> list[SampleChange]:
    found: list[SampleChange] = []
    sides = [_roots(before), _roots(after)]
    for stage, role in dict.fromkeys([*sides[0], *sides[1]]):
        old, new = (side.get((stage, role), []) for side in sides)
        if sorted(set(old)) == sorted(set(new)):
            continue
        rows = [sets.rows(old), sets.rows(new)]
        removed, added = missing_from(rows[0], rows[1]), missing_from(rows[1], rows[0])
        lost = tuple(sorted(sets.missing & {*old, *new}))
        if not (len(added) or len(removed) or lost):
            continue
        names = [tuple(row.tobytes().hex() for row in part[:most]) for part in (added, removed)]
        by = grouped(added, removed, describe) if describe else {}
        counts = (len(rows[0]), len(rows[1]), len(added), len(removed))
        found.append(SampleChange(stage, role, *counts, names[0], names[1], by, lost))
    return found


def _roots(side: Mapping[str, Record]) -> dict[tuple[str, str], list[str]]:
    """Roots by (stage, role), after those of the whole history by ("", role)."""
    every = [(name, one) for name, record in side.items() for one in record.samples.sets]
    found: dict[tuple[str, str], list[str]] = {}
    for _, one in every:
        found.setdefault(("", one.role), []).append(one.root)
    for name, one in every:
        found.setdefault((name, one.role), []).append(one.root)
    return found


def grouped(added: Rows, removed: Rows, describe: Describe) -> dict[str, dict[str, tuple[int, int]]]:
    """How many came and went, by kind and value of what is known of them."""
    counts: dict[str, dict[str, list[int]]] = {}
    for side, rows in enumerate((added, removed)):
        ids = [row.tobytes().hex() for row in rows]
        known = describe(ids)
        for kind in ("source", "licence"):
            for one in ids:
                value = known.get(one, {}).get(kind) or _UNKNOWN
                counts.setdefault(kind, {}).setdefault(value, [0, 0])[side] += 1
    return {kind: {value: (a, b) for value, (a, b) in sorted(found.items())} for kind, found in counts.items()}


def rows_of(packed: bytes) -> Rows:
    """The ids of a packed set as rows."""
    if len(packed) % 32:
        raise ValueError(f"a sample set has {len(packed)} bytes, which is no multiple of 32")
    return np.frombuffer(packed, np.uint8).reshape(-1, 32)


def missing_from(rows: Rows, others: Rows) -> Rows:
    """The rows that are not among `others`; both are sorted."""
    if not len(rows) or not len(others):
        return rows
    keys, other_keys = _keys(rows), _keys(others)
    at = np.minimum(np.searchsorted(other_keys, keys), len(others) - 1)
    is_near = other_keys[at] == keys
    is_there = is_near.copy()
    is_there[is_near] = (others[at[is_near]] == rows[is_near]).all(axis=1)
    for place in np.flatnonzero(is_near & ~is_there):  # another id with the same 64 bits stands before it, or it is not
        same = others[other_keys == keys[place]]
        is_there[place] = bool((same == rows[place]).all(axis=1).any())
    return rows[~is_there]


def union(rows: Rows, others: Rows) -> Rows:
    """The rows of both, sorted, once each."""
    new = missing_from(others, rows)
    if not len(new):
        return rows
    if not len(rows):
        return others
    both = np.concatenate([rows, new])
    words = np.ascontiguousarray(both).view(">u8").reshape(-1, 4)
    order: Any = np.lexsort((words[:, 3], words[:, 2], words[:, 1], words[:, 0]))
    return both[order]


def _keys(rows: Rows) -> NDArray[np.uint64]:
    """The leading 64 bits of each row, as numbers in the same order."""
    return np.ascontiguousarray(rows[:, :8]).view(">u8").reshape(-1).astype(np.uint64)
