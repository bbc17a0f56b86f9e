"""The records from a model back to its sources, each input held against the output of the record that made it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.lineage.errors import Fault
from components.lineage.graph import Graph
from components.lineage.record import Item, Record

MADE_BELOW = "artifacts/"
EVALUATION_ROLE = "report"
"""The role in which an export reads the evaluation's report."""


class BrokenError(ValueError):
    """The first thing between a model and its sources that does not hold; `fault` names it."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.fault = Fault(place, message)


def measured_by(record: Record) -> frozenset[str]:
    """Ids of the records of which it read a report and nothing else: they measured it, and are no part of it."""
    made = {item.made_by for item in record.inputs if item.role != EVALUATION_ROLE}
    return frozenset(item.made_by for item in record.inputs if item.role == EVALUATION_ROLE) - made


@dataclass(frozen=True)
class Chain:
    """What a model stands on.

    Args:
        records: oldest first, the model's own last.
        sources: what was read and no record made, by path.
        links: how many inputs were held against the outputs of their makers, or found to be sources.
        stands_on: for each record, by id, the ids in the chain that it stands on, directly or not.
    """

    records: tuple[Record, ...]
    sources: tuple[Item, ...]
    links: int
    stands_on: dict[str, frozenset[str]]

    @property
    def items(self) -> tuple[Item, ...]:
        """Everything that was read or written, each path and digest once, in the order of the records."""
        every = [item for record in self.records for item in (*record.inputs, *record.outputs)]
        return tuple({(item.path, item.sha256): item for item in every}.values())


def walk(graph: Graph, record_id: str) -> Chain:
    """Go from a record up to the sources, through the makers of everything that was read.

    Raises:
        BrokenError: the first record, from the model on, that names what the log does not hold, or that read other
            bytes than the record wrote which it names as their maker.
    """
    waiting, seen, links = deque([record_id]), {record_id}, 0
    sources = dict[tuple[str, str], Item]()
    while waiting:
        record = graph.record(waiting.popleft())
        if missing := graph.missing(record.id):
            raise BrokenError(
                name_of(record), f"stands on record {missing[0]}, which does not stand before it in the log"
            )
        for item in record.inputs:
            links += 1
            maker = _maker(graph, record, item)
            if maker is None:
                sources.setdefault((item.path, item.sha256), item)
            elif maker.id not in seen:
                seen.add(maker.id)
                waiting.append(maker.id)
    records = tuple(graph.record(one) for one in sorted(seen, key=graph.index))
    return Chain(records, tuple(sources[key] for key in sorted(sources)), links, _stands_on(graph, records))


def binding(graph: Graph, record: Record) -> dict[str, Any]:
    """What a model's signature binds it to: its record, the sample sets of every training of it, the evaluation."""
    trained = [one for one in made_of(graph, record) if one.sample_set("drawn")]
    report = next((item for item in record.inputs if item.role == EVALUATION_ROLE), None)
    return {
        "record": record.id,
        "fingerprint": record.fingerprint,
        "data_roots": [
            {"record": one.id, "stage": one.subject, "role": found.role, "root": found.root, "count": found.count}
            for one in trained
            for found in one.samples.sets
        ],
        "evaluation": report.sha256 if report else "",
    }


def made_of(graph: Graph, record: Record) -> list[Record]:
    """What the bytes of an export were made of, oldest first.

    The evaluation beside it is left out: that read other models too, whose trainings are none of this model's.
    """
    makers = [_maker(graph, record, item) for item in record.inputs if item.role != EVALUATION_ROLE]
    found = {one.id for one in makers if one is not None}
    found = found.union(*({one.id for one in graph.above(maker)} for maker in found))
    return [graph.record(one) for one in sorted(found, key=graph.index)]


def name_of(record: Record) -> str:
    """How a record is called in messages."""
    return f"record {record.id} ({record.subject})"


def _maker(graph: Graph, reader: Record, item: Item) -> Record | None:
    """The record that wrote what `reader` read; None for a source."""
    if item.made_by and item.made_by not in graph:
        raise BrokenError(name_of(reader), f"names record {item.made_by} as a maker, which the log does not hold")
    if item.made_by:
        maker = graph.record(item.made_by)
        written = [one for one in maker.outputs if one.path == item.path] or list(maker.outputs)
        if any(one.sha256 == item.sha256 for one in written):
            return maker
        found = written[0].sha256 if written else "nothing"
        told = f"read {item.path} as {item.sha256}, but its maker, {name_of(maker)}, wrote {found}"
        raise BrokenError(name_of(reader), f"{told}; run {reader.subject} again")
    for one in reversed(graph.parents(reader.id)):
        if any(made.sha256 == item.sha256 for made in graph.record(one).outputs):
            return graph.record(one)
    if item.path.startswith(MADE_BELOW):
        advice = "`easel lineage record` writes down what was made without the ledger, then run it again"
        raise BrokenError(
            name_of(reader), f"read {item.path} as {item.sha256}, which no record before it made; {advice}"
        )
    return None


def _stands_on(graph: Graph, records: Sequence[Record]) -> dict[str, frozenset[str]]:
    inside = {record.id for record in records}
    found = dict[str, frozenset[str]]()
    for record in records:
        parents = [one for one in graph.parents(record.id) if one in inside]
        found[record.id] = frozenset(parents).union(*(found[one] for one in parents))
    return found
