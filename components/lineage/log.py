"""The append-only log of records: written by many at once, signed head by signed head.

Order of writing: blobs, the record, its entry at the next free index, a head over all entries so far. The entry
decides: its exclusive creation gives each index to one writer, the others go on to the next. A writer that is killed
before the entry leaves a record that nobody counts; one that is killed after it leaves an entry that the next head
signs.

Source: RFC 6962 section 3 (log, signed tree heads).
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from components.lineage.canonical import decimal
from components.lineage.errors import LedgerError
from components.lineage.keys import Signer
from components.lineage.log_files import ENTRIES, HEADS, SETS, Entry, Head, entry_name, head_name, key_name, record_name
from components.lineage.log_proofs import ConsistencyProof, InclusionProof, is_signed
from components.lineage.merkle import Frontier, consistency_proof, inclusion_proof
from components.lineage.record import Record, read_record
from components.lineage.store import Store, read_many
from components.lineage.times import stamp

__all__ = ["ConsistencyProof", "Entry", "Head", "InclusionProof", "Ledger", "now"]
_LEAST_PREFIX = 6
_CHECK = "`easel lineage check` says more"


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


class Ledger:
    """The log in a store; without a signer it can only be read.

    Args:
        clock: tells the time of appending.
    """

    def __init__(self, store: Store, signer: Signer | None = None, *, clock: Callable[[], datetime] = now) -> None:
        self.store = store
        self._signer = signer
        self._clock = clock
        self._entries = dict[int, Entry]()
        self._base: Head | None = None
        self._has_key_stored = False

    def append(self, record: Record, blobs: Mapping[str, bytes] | None = None) -> Entry:
        """Keep the record and its blobs, and return its entry; the first one if it is in the log already.

        Raises:
            LedgerError: there is no signer; a blob's name holds something else; the log is not what its head says.
        """
        signer = self._must_sign()
        start = self._tail_start()
        for name, data in (blobs or {}).items():
            self._keep(name, data)
        is_new = self._keep(record_name(record.id), record.data)
        if not is_new:
            self._fetch_entries()  # it may stand anywhere
        entry = self._find_entry(record.id, start if is_new else 0)
        if entry is None:
            digests = {name: hashlib.sha256(data).hexdigest() for name, data in (blobs or {}).items()}
            entry = self._take_a_place(record, digests)
        self._sign(signer)
        return entry

    def seal(self) -> Head | None:
        """Sign a head over every entry, if the newest does not cover them all; None for an empty log."""
        signer = self._must_sign()
        self._tail_start()
        return self._sign(signer)

    def entries(self, start: int = 0) -> list[Entry]:
        """All entries in order, each of which names the one before it.

        From `start` on for one who has read those before it: nothing is listed then, one read finds no more.

        Raises:
            LedgerError: one is not what it should be.
        """
        head, before = (None, self._entry(start - 1)) if start else (self.head(), None)
        least = head.size if head else 0
        if not start:
            self._fetch_entries()
        found, last = list[Entry](), before.leaf.hex() if before else ""
        while entry := self._entry(start + len(found)):
            if entry.previous != last:
                raise LedgerError(f"{entry_name(entry.index)}: does not follow the entry before it; {_CHECK}")
            found.append(entry)
            last = entry.leaf.hex()
        if len(found) < least:
            raise LedgerError(f"{entry_name(len(found))}: missing, though a head counts {least} entries; {_CHECK}")
        return found

    def records(self, entries: Sequence[Entry] | None = None) -> Iterator[tuple[Entry, Record]]:
        """Every entry (or those given) and its record, in the log's order.

        Raises:
            LedgerError: a record is missing, or its bytes do not have the SHA-256 that the log says.
        """
        entries = self.entries() if entries is None else entries
        stored = read_many(self.store, [record_name(entry.record_id) for entry in entries])
        for entry, data in zip(entries, stored, strict=True):
            yield entry, _checked_record(entry.record_id, data)

    def find(self, reference: str) -> Record:
        """The record in the log whose id is, or uniquely begins with, `reference` (at least 6 hex digits).

        Raises:
            LedgerError: none, or several.
        """
        prefix = reference.lower()
        if len(prefix) < _LEAST_PREFIX or set(prefix) - set("0123456789abcdef"):
            raise LedgerError(f"{reference!r} is no record id; give at least {_LEAST_PREFIX} hex digits of one")
        ids = [entry.record_id for entry in self.entries() if entry.record_id.startswith(prefix)]
        if len(ids) != 1:
            what = f"{len(ids)} records begin" if ids else "no record in the ledger begins"
            raise LedgerError(f"{what} with {reference!r}; give {'more digits' if ids else 'the id of a record'}")
        return _checked_record(ids[0], self.store.read(record_name(ids[0])))

    def head(self) -> Head | None:
        """The newest signed head; None if nothing was appended yet.

        Raises:
            LedgerError: it is not what its signature is of.
        """
        names = self.store.names(HEADS)
        return self._read_head(names[-1]) if names else None

    def sample_set(self, root: str) -> bytes:
        """The members of the sample set with that Merkle root: sorted digests of 32 bytes, one after another."""
        found = self.store.read(f"{SETS}{root}")
        if found is None:
            raise LedgerError(f"{SETS}{root}: no such sample set in the ledger; {_CHECK}")
        return found

    def blob(self, name: str) -> bytes | None:
        """What was stored under `name`; None if nothing was."""
        return self.store.read(name)

    def inclusion(self, record_id: str) -> InclusionProof:
        """A proof that the record stands in the log under the newest head.

        Raises:
            LedgerError: it does not.
        """
        head, entries = self._covered()
        entry = next((one for one in entries if one.record_id == record_id), None)
        if entry is None:
            raise LedgerError(f"record {record_id[:16]} stands under no signed head")
        path = inclusion_proof([one.leaf for one in entries], entry.index)
        return InclusionProof(entry=entry, path=tuple(one.hex() for one in path), head=head)

    def consistency(self, old_size: int) -> ConsistencyProof:
        """A proof that the log's first `old_size` entries are the beginning of what the newest head covers."""
        head, entries = self._covered()
        if not 0 < old_size <= head.size:
            raise LedgerError(f"the log has {head.size} entries under its newest head and never had {old_size}")
        path = consistency_proof([one.leaf for one in entries], old_size)
        return ConsistencyProof(old_size=old_size, path=tuple(one.hex() for one in path), head=head)

    def _must_sign(self) -> Signer:
        if self._signer is None:
            raise LedgerError("the ledger is open for reading only: it has no key to sign with")
        if not self._has_key_stored:
            self._keep(key_name(self._signer.key_id), self._signer.public_pem)
            self._has_key_stored = True
        return self._signer

    def _keep(self, name: str, data: bytes) -> bool:
        """Create the value; False if it was there already."""
        if self.store.create(name, data):
            return True
        if self.store.read(name) != data:
            raise LedgerError(f"{name}: the ledger holds something else under this name; {_CHECK}")
        return False

    def _tail_start(self) -> int:
        """Where the entries begin that no head covers, so far as this process knows."""
        self._base = self._base or self.head()
        return self._base.size if self._base else 0

    def _find_entry(self, record_id: str, start: int) -> Entry | None:
        index = start
        while entry := self._entry(index):
            if entry.record_id == record_id:
                return entry
            index += 1
        return None

    def _take_a_place(self, record: Record, digests: dict[str, str]) -> Entry:
        """Append the entry at the first free index, unless another writer appends this very record."""
        index = self._tail_start()
        while True:
            while other := self._entry(index):
                if other.record_id == record.id:
                    return other
                index += 1
            made = self._new_entry(index, record, digests)
            if self.store.create(entry_name(index), made.data):
                self._entries[index] = made
                return made
            if self._entry(index) is None:
                raise LedgerError(f"{entry_name(index)}: taken by what cannot be read; {_CHECK}")

    def _new_entry(self, index: int, record: Record, digests: dict[str, str]) -> Entry:
        before = self._entry(index - 1) if index else None
        if index and before is None:
            raise LedgerError(f"{entry_name(index - 1)}: missing, though a head counts it; {_CHECK}")
        at, behind = stamp(self._clock()), ""
        if before and before.appended_at > at:
            late = datetime.fromisoformat(before.appended_at) - datetime.fromisoformat(at)
            at, behind = before.appended_at, decimal(late.total_seconds())
        return Entry(
            index=index,
            record_id=record.id,
            previous=before.leaf.hex() if before else "",
            appended_at=at,
            clock_behind_s=behind,
            kind=record.kind,
            subject=record.subject,
            blobs=digests,
        )

    def _sign(self, signer: Signer) -> Head | None:
        """Sign over every entry that is there now, extending the head that is known."""
        base = self._base
        tree, last = (base.tree, base.last) if base else (Frontier(), "")
        while entry := self._entry(tree.size):
            if entry.previous != last:
                raise LedgerError(f"{entry_name(entry.index)}: does not follow the entry before it; {_CHECK}")
            tree.add(entry.leaf)
            last = entry.leaf.hex()
        if not tree.size or (base and tree.size == base.size):
            return base
        head = Head(
            size=tree.size,
            root=tree.root().hex(),
            frontier=tuple(one.hex() for one in tree.peaks),
            last=last,
            previous_size=base.size if base else 0,
            signed_at=stamp(self._clock()),
            key_id=signer.key_id,
        )
        head = head.model_copy(update={"signature": signer.sign(head.signed).hex()})
        if not self.store.create(head_name(head.size), head.data):
            head = self._read_head(head_name(head.size))
        if head.root != tree.root().hex():
            raise LedgerError(f"{head_name(head.size)}: another history than the entries have; {_CHECK}")
        self._base = head
        return head

    def _fetch_entries(self) -> None:
        """Read what this process has not read yet, several at once."""
        names = sorted({*self.store.names(ENTRIES)} - {entry_name(index) for index in self._entries})
        for name, data in zip(names, read_many(self.store, names), strict=True):
            self._take(name, data or b"")

    def _entry(self, index: int) -> Entry | None:
        if index not in self._entries:
            data = self.store.read(entry_name(index))
            if data is None:
                return None
            self._take(entry_name(index), data)
        return self._entries[index]

    def _take(self, name: str, data: bytes) -> None:
        entry = Entry.read(data, name)
        if entry_name(entry.index) != name:
            raise LedgerError(f"{name}: says that it is entry {entry.index}; {_CHECK}")
        self._entries[entry.index] = entry

    def _read_head(self, name: str) -> Head:
        data = self.store.read(name)
        if data is None:
            raise LedgerError(f"{name}: missing; {_CHECK}")
        head = Head.read(data, name)
        public = self.store.read(key_name(head.key_id))
        if public is None:
            raise LedgerError(f"{key_name(head.key_id)}: missing, though {name} is signed with it; {_CHECK}")
        if name != head_name(head.size) or not is_signed(head, public):
            raise LedgerError(f"{name}: not what its signature is of; {_CHECK}")
        return head

    def _covered(self) -> tuple[Head, list[Entry]]:
        head = self.head()
        if head is None:
            raise LedgerError("the ledger is empty; run a stage first")
        return head, self.entries()[: head.size]


def _checked_record(record_id: str, data: bytes | None) -> Record:
    if data is None:
        raise LedgerError(f"{record_name(record_id)}: missing, though the log has it; {_CHECK}")
    if hashlib.sha256(data).hexdigest() != record_id:
        raise LedgerError(f"{record_name(record_id)}: its bytes do not have the SHA-256 in its name; {_CHECK}")
    return read_record(data)
