"""The sample sets of a chain of records: their members have the roots that records name, and none comes from nowhere.

What a training drew was offered to it; what was offered was kept by the last filter before it, or drawn by a model or
renderer of ours; what was kept was received. So no sample reaches the weights past the filters.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from components.lineage.chain import BrokenError, Chain, name_of
from components.lineage.errors import LedgerError
from components.lineage.log import Ledger
from components.lineage.manifest import WIDTH, first_fault, unpack
from components.lineage.record import Record, SampleSet


class ChainSets:
    """The packed members of every sample set that a chain names; each is read and checked once.

    Raises:
        BrokenError: a set is not there, or its members are not those whose root the record names.
    """

    def __init__(self, chain: Chain, ledger: Ledger) -> None:
        self._chain = chain
        self._by_id = {record.id: record for record in chain.records}
        self._packed = dict[str, bytes]()
        for record in chain.records:
            for one in record.samples.sets:
                if one.root not in self._packed:
                    self._packed[one.root] = self._read(ledger, record, one)
                if len(self._packed[one.root]) != one.count * WIDTH:
                    found = len(self._packed[one.root]) // WIDTH
                    raise BrokenError(name_of(record), f"says {one.role}: {one.count}; sets/{one.root} holds {found}")

    def __len__(self) -> int:
        return len(self._packed)

    def of(self, record: Record, *roles: str) -> list[bytes]:
        """The packed sets of a record in these roles."""
        return [self._packed[one.root] for one in record.samples.sets if one.role in roles]

    def union(self, *roles: str, records: Sequence[Record] | None = None) -> bytes:
        """Every sample that some record of the chain (or of those given) names in one of these roles, packed."""
        asked = self._chain.records if records is None else records
        return _union([one for record in asked for one in self.of(record, *roles)])

    def check_order(self) -> int:
        """Hold every set against those it must lie within; how many were.

        Raises:
            BrokenError: a sample that is in a set, and in none of those it must come from.
        """
        checked = 0
        for record in self._chain.records:
            for one in record.samples.sets:
                allowed = self._sources_of(record, one.role)
                if allowed:
                    checked += 1
                    self._check_within(record, one, _union(allowed))
            self._check_held_out(record)
        return checked

    def _sources_of(self, record: Record, role: str) -> list[bytes]:
        match role:
            case "drawn":
                return self.of(record, "offered") or self._above(record, "offered")
            case "offered":
                return [*self._last_kept(record), *self._above(record, "generated"), *self._brought(record)]
            case "kept":
                return self.of(record, "received") or self._last_kept(record) or self._above(record, "received")
            case _:
                return []

    def _above(self, record: Record, role: str) -> list[bytes]:
        return [one for other in self._records_above(record) for one in self.of(other, role)]

    def _records_above(self, record: Record) -> Iterator[Record]:
        above = self._chain.stands_on[record.id]
        return (one for one in self._chain.records if one.id in above)

    def _last_kept(self, record: Record) -> list[bytes]:
        """What the last filters above kept: those on which no other filter above stands."""
        keeping = [one for one in self._records_above(record) if one.sample_set("kept")]
        earlier = frozenset[str]().union(*(self._chain.stands_on[one.id] for one in keeping))
        return [packed for one in keeping if one.id not in earlier for packed in self.of(one, "kept")]

    def _brought(self, record: Record) -> list[bytes]:
        """Images that came in past the filters, as candidates for preferences may."""
        above = (one for one in self._records_above(record) if not one.sample_set("kept"))
        return [packed for one in above for packed in self.of(one, "received")]

    def _check_within(self, record: Record, one: SampleSet, allowed: bytes) -> None:
        strange = _rows(self._packed[one.root])
        strange = strange[~np.isin(strange, _rows(allowed))]
        if strange.size:
            what = {
                "drawn": "offered to it",
                "offered": "kept by a filter before it or drawn by us",
                "kept": "received",
            }
            told = f"{strange.size} of {one.count} samples are {one.role} and were not {what[one.role]}"
            raise BrokenError(name_of(record), f"{told}; the first is {strange[:1].tobytes().hex()}")

    def _check_held_out(self, record: Record) -> None:
        held, drawn = _union(self.of(record, "held_out")), _union(self.of(record, "drawn"))
        both = np.intersect1d(_rows(held), _rows(drawn))
        if both.size:
            told = f"{both.size} samples are held out and drawn all the same"
            raise BrokenError(name_of(record), f"{told}; the first is {both[:1].tobytes().hex()}")

    def _read(self, ledger: Ledger, record: Record, one: SampleSet) -> bytes:
        name = f"sets/{one.root}"
        try:
            packed = ledger.sample_set(one.root)
        except LedgerError:
            raise BrokenError(name, f"the {one.role} samples of {name_of(record)} are not in the ledger") from None
        others = [other for role in ("offered", "kept", "received") for other in self.of_known(record, role)]
        if fault := first_fault(packed, one.root, others):
            raise BrokenError(name, f"not the {one.role} samples of {name_of(record)}: {fault}")
        return packed

    def of_known(self, record: Record, role: str) -> list[bytes]:
        """The sets of that role that are read by now, of the record and of those above it."""
        above = {record.id, *self._chain.stands_on[record.id]}
        sets = [one for other in above for one in self._by_id[other].samples.sets if one.role == role]
        return [self._packed[one.root] for one in sets if one.root in self._packed]


def sample_ids(packed: bytes) -> list[str]:
    """The members of a packed set, in hex."""
    return list(unpack(packed))


def _union(sets: Sequence[bytes]) -> bytes:
    return sets[0] if len(sets) == 1 else np.unique(_rows(b"".join(sets))).tobytes()


def _rows(packed: bytes) -> "np.ndarray":
    return np.frombuffer(packed, f"S{WIDTH}")
