"""Records as a graph: what each one stands on, what stands on it, and which record a word of a person's means.

An edge leads from a record to one that it names (`parents`, `made_by`), or, for bytes whose maker is not named, to the
newest earlier record that wrote the same SHA-256. Edges only lead back in the log: a record that is named but does not
stand before the one that names it is *missing*, and no cycle can be written.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from components.lineage.record import Item, Record

MIN_PREFIX = 6
_HEX = frozenset("0123456789abcdef")


class GraphError(ValueError):
    """A word that means no record, or several; one line says what there is."""


class Graph:
    """The records of a ledger, in its order. Walks cost time linear in the records.

    Args:
        ids: of the records, where the caller knows them (a log's entries name them); else they are computed, once.
    """

    def __init__(self, records: Sequence[Record], ids: Sequence[str] = ()) -> None:
        self.records = tuple(records)
        self.ids = tuple(ids) or tuple(record.id for record in self.records)
        self._at: dict[str, int] = {}
        self._parents: list[tuple[int, ...]] = []
        self._children: list[list[int]] = [[] for _ in self.records]
        self._missing: list[tuple[str, ...]] = []
        self._makers: defaultdict[str, list[int]] = defaultdict(list)
        self._readers: defaultdict[str, list[int]] = defaultdict(list)
        self._subjects: defaultdict[str, list[int]] = defaultdict(list)
        for place, record in enumerate(self.records):
            self._add(place, record)

    def __len__(self) -> int:
        return len(self.records)

    def __contains__(self, record_id: object) -> bool:
        return record_id in self._at

    def _add(self, place: int, record: Record) -> None:
        named = [*record.parents, *(item.made_by for item in record.inputs if item.made_by)]
        found = {self._at[one] for one in named if one in self._at}
        for item in record.inputs:
            if not item.made_by and self._makers.get(item.sha256):
                found.add(self._makers[item.sha256][-1])
        self._parents.append(tuple(sorted(found)))
        self._missing.append(tuple(dict.fromkeys(one for one in named if one not in self._at)))
        for parent in found:
            self._children[parent].append(place)
        for sha256 in dict.fromkeys(item.sha256 for item in record.outputs):
            self._makers[sha256].append(place)
        for sha256 in dict.fromkeys(item.sha256 for item in record.inputs):
            self._readers[sha256].append(place)
        self._subjects[record.subject].append(place)
        self._at.setdefault(self.ids[place], place)

    def record(self, record_id: str) -> Record:
        """The record of that full id; GraphError if there is none."""
        return self.records[self._place(record_id)]

    def index(self, record_id: str) -> int:
        """The record's place in the order that this graph was given."""
        return self._place(record_id)

    def made(self, sha256: str) -> Record | None:
        """The newest record that wrote these bytes."""
        places = self._makers.get(sha256)
        return self.records[places[-1]] if places else None

    def consumers(self, sha256: str) -> tuple[Record, ...]:
        """The records that read these bytes, oldest first."""
        return tuple(self.records[place] for place in self._readers.get(sha256, ()))

    def parents(self, record_id: str) -> tuple[str, ...]:
        """Ids of the records that this one stands on directly, oldest first."""
        return tuple(self.ids[place] for place in self._parents[self._place(record_id)])

    def children(self, record_id: str) -> tuple[str, ...]:
        """Ids of the records that stand on this one directly, oldest first."""
        return tuple(self.ids[place] for place in self._children[self._place(record_id)])

    def missing(self, record_id: str) -> tuple[str, ...]:
        """Ids that the record names as what it stands on, and that do not stand before it."""
        return self._missing[self._place(record_id)]

    def above(self, record_id: str, depth: int | None = None) -> tuple[Record, ...]:
        """Everything that the record stands on, directly or not, oldest first; of at most `depth` edges."""
        return tuple(self.records[place] for place in self._walk(record_id, self._parents, depth))

    def below(self, record_id: str, depth: int | None = None) -> tuple[Record, ...]:
        """Everything that stands on the record, directly or not, oldest first; of at most `depth` edges."""
        return tuple(self.records[place] for place in self._walk(record_id, self._children, depth))

    def unmade(self, record_id: str) -> tuple[Item, ...]:
        """What the record read that no record before it made."""
        place = self._place(record_id)
        return tuple(
            item
            for item in self.records[place].inputs
            if item.made_by not in self._at and all(maker >= place for maker in self._makers.get(item.sha256, ()))
        )

    def sources(self, record_id: str) -> tuple[Item, ...]:
        """What was read in the record's history, itself included, that no record made: by path, each digest once."""
        history = [*self._walk(record_id, self._parents, None), self._place(record_id)]
        items = [item for place in history for item in self.unmade(self.ids[place])]
        found = {(item.path, item.sha256): item for item in reversed(items)}
        return tuple(found[key] for key in sorted(found))

    def latest(self, subject: str) -> Record | None:
        """The newest record about a stage or a registered model."""
        places = self._subjects.get(subject)
        return self.records[places[-1]] if places else None

    def with_output(self, path: str) -> tuple[Record, ...]:
        """The records that wrote to this path, oldest first."""
        return tuple(record for record in self.records if any(item.path == path for item in record.outputs))

    def with_input(self, path: str) -> tuple[Record, ...]:
        """The records that read from this path, oldest first."""
        return tuple(record for record in self.records if any(item.path == path for item in record.inputs))

    def first_readers(self, path: str) -> tuple[Record, ...]:
        """For each content that records read from this path, the first of them; oldest first."""
        found: dict[str, Record] = {}
        for record in self.records:
            for item in record.inputs:
                if item.path == path:
                    found.setdefault(item.sha256, record)
        return tuple(found.values())

    def resolve(self, reference: str) -> Record:
        """The record that a word means: an id or its beginning, a stage, a path, a digest, an id in another tool.

        Of several the newest is meant, but a record of a whole run comes before those of its stages. Of a source, which
        no record made, the first that read its newest content is meant.

        Raises:
            GraphError: the word means nothing here, or is the beginning of several ids.
        """
        if found := self._by_id(reference) or self.latest(reference):
            return found
        path = reference.removeprefix("./").rstrip("/")
        if found := self.with_output(path) or self.first_readers(path):
            return found[-1]
        if found := self.made(reference):
            return found
        known = [record for record in self.records if reference and reference in record.systems.values()]
        if known:
            return next((one for one in reversed(known) if one.kind == "run"), known[-1])
        raise GraphError(f"{reference}: no record is called so; {self.offer()}")

    def offer(self) -> str:
        """What there is to ask for, in half a line."""
        if not self.records:
            return "the ledger holds no record yet; `easel run` writes the first"
        names = list(dict.fromkeys(record.subject for record in self.records))
        more = f" and {len(names) - 40} more" if len(names) > 40 else ""
        return f"the ledger knows: {', '.join(names[:40])}{more}"

    def _by_id(self, reference: str) -> Record | None:
        if reference in self._at:
            return self.record(reference)
        if not (MIN_PREFIX <= len(reference) <= 64 and _HEX.issuperset(reference)):
            return None
        found = [record_id for record_id in self._at if record_id.startswith(reference)]
        if len(found) > 1:
            raise GraphError(f"{reference}: {len(found)} records begin so; give more of the id")
        return self.record(found[0]) if found else None

    def _place(self, record_id: str) -> int:
        if record_id not in self._at:
            raise GraphError(f"{record_id}: no record of this id; {self.offer()}")
        return self._at[record_id]

    def _walk(self, record_id: str, edges: Sequence[Sequence[int]], depth: int | None) -> list[int]:
        start = self._place(record_id)
        seen, edge_of = {start}, [start]
        while edge_of and depth != 0:
            edge_of = list({after for place in edge_of for after in edges[place]} - seen)
            seen.update(edge_of)
            depth = None if depth is None else depth - 1
        return sorted(seen - {start})


def short_ids(ids: Sequence[str]) -> Mapping[str, str]:
    """Each id by as few first digits as tell all of them apart, and no fewer than eight."""
    length = next((n for n in range(8, 64) if len({one[:n] for one in ids}) == len(set(ids))), 64)
    return {one: one[:length] for one in ids}
