"""Whether a whole ledger is what its signed heads say: keys, heads, entries, records, and what was stored with them.

From the newest signed head backwards each entry is pinned by the hash that the next one holds, so that a changed entry
is named, not only suspected; then every head's root is compared with the tree over the entries (RFC 6962 section 2.1).
What no signature covers yet, and what killed writers left, is a remark and no fault.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress

from components.lineage.errors import Fault, LedgerError
from components.lineage.keys import canonical_pem, key_id, verify_signature
from components.lineage.log_files import (
    ENTRIES,
    HEADS,
    KEYS,
    RECORDS,
    SETS,
    SIGNATURES,
    Entry,
    Head,
    entry_name,
    head_name,
    key_name,
    record_name,
)
from components.lineage.log_report import LogReport, Span, remarks_on, spans_of
from components.lineage.manifest import WIDTH, first_fault
from components.lineage.merkle import Frontier, leaf_hash
from components.lineage.model_signature import SignatureError, read_statement
from components.lineage.record import Record, RecordError, SampleSet, read_record
from components.lineage.store import Store, checked_name, read_many

__all__ = ["Fault", "LogReport", "Span", "check_log", "examine_log"]


def check_log(store: Store, trusted_keys: Sequence[bytes] = ()) -> Fault | None:
    """The first thing in the ledger that does not hold, None if everything does; see `examine_log`."""
    return examine_log(store, trusted_keys).fault


def examine_log(store: Store, trusted_keys: Sequence[bytes] = (), against: Head | None = None) -> LogReport:
    """Check everything in the ledger.

    Args:
        store: where the ledger lies.
        trusted_keys: public keys in PEM, known from elsewhere; none: those that lie in the ledger are believed.
        against: a head that was kept elsewhere, with which the log must agree.
    """
    check = _Check(store, {key_id(pem): pem for pem in trusted_keys})
    try:
        signatures = check.listed(SIGNATURES)  # before all else: what is signed meanwhile is in no list of ours
        heads = check.heads()
        entries = check.entries(heads[-1] if heads else None)
        check.trees(heads, entries, against)
        names = [record_name(entry.record_id) for entry in entries]
        for entry, data in zip(entries, read_many(store, names), strict=True):
            check.record(entry, data)
        check.signatures(signatures, frozenset(names))
    except _FoundError as found:
        return LogReport(found.fault)
    newest = heads[-1] if heads else None
    held = set(names)
    strays = [name for name in store.names(RECORDS) if name not in held]
    remarks = remarks_on(entries, newest, strays, is_trusting=not trusted_keys)
    size, root = (newest.size, newest.root) if newest else (0, "")
    return LogReport(None, size, root, spans_of(heads), tuple(remarks))


class _FoundError(Exception):
    def __init__(self, place: str, message: str) -> None:
        self.fault = Fault(place, message)


class _Check:
    """One pass over a store; every method raises at the first thing that does not hold."""

    def __init__(self, store: Store, trusted: dict[str, bytes]) -> None:
        self._store = store
        self._trusted = trusted
        self._keys = dict(trusted)
        self._seen = set[tuple[str, str]]()
        self._sizes = dict[str, int]()

    def listed(self, prefix: str) -> list[str]:
        """What lies there, if every name is one that a ledger can have."""
        names = self._store.names(prefix)
        for name in names:
            _check_name(name, name)
        return names

    def heads(self) -> list[Head]:
        """All heads by size, each signed, each extending one that is there; and the keys."""
        names = self.listed(HEADS)  # before keys and entries, so that what is appended meanwhile is no fault
        self._check_keys()
        heads = [self._head(name, data) for name, data in zip(names, read_many(self._store, names), strict=True)]
        if self._trusted and not heads:
            raise _FoundError(HEADS, "no signed head: nothing in this ledger is signed with a trusted key")
        for one in dict.fromkeys(head.key_id for head in heads):
            if self._store.read(key_name(one)) is None:
                raise _FoundError(key_name(one), "removed: heads are signed with it")
        known = set(names)
        for head in heads:
            before = head_name(head.previous_size)  # a folder that grows while it is listed may leave it out
            if head.previous_size and before not in known and self._store.read(before) is None:
                raise _FoundError(before, f"removed: {head_name(head.size)} extends it")
        return heads

    def entries(self, head: Head | None) -> list[Entry]:
        """All entries in order: those under the head pinned by it, the rest following one another."""
        names = self._store.names(ENTRIES)
        for name, index in zip(names, range(len(names)), strict=True):
            if len(name) != len(entry_name(index)):
                raise _FoundError(name, "no entry: it does not belong there")
        data = self._entry_data(names, head)
        if head and len(data) < head.size:
            raise _FoundError(entry_name(len(data)), f"removed: {head_name(head.size)} counts {head.size} entries")
        hashes = [leaf_hash(one) for one in data]
        if head:
            self._pin(head, data, hashes)
        found = [_entry(one, index) for index, one in enumerate(data)]
        for entry in found[head.size if head else 0 :]:
            if entry.previous != (hashes[entry.index - 1].hex() if entry.index else ""):
                raise _FoundError(entry_name(entry.index), "changed or reordered: does not follow the entry before it")
        return found

    def trees(self, heads: list[Head], entries: list[Entry], against: Head | None) -> None:
        """Whether every head's tree is the one over the entries: one history, and no other."""
        if against:
            self._check_signature(against, "the head kept elsewhere")
            if against.size > len(entries):
                raise _FoundError(
                    entry_name(len(entries)), f"removed: the head kept elsewhere counts {against.size} entries"
                )
        by_size = {head.size: head for head in heads}
        tree = Frontier()
        for entry in entries:
            tree.add(entry.leaf)
            head = by_size.get(tree.size)
            if head and (head.tree.peaks, head.root, head.last) != (tree.peaks, tree.root().hex(), entry.leaf.hex()):
                raise _FoundError(
                    head_name(head.size), f"forked: the first {head.size} entries have another root than it signs"
                )
            if against and against.size == tree.size and against.root != tree.root().hex():
                place = head_name(heads[-1].size) if heads else entry_name(entry.index)
                raise _FoundError(place, f"forked: the head kept elsewhere has another root at {tree.size}")

    def record(self, entry: Entry, data: bytes | None) -> None:
        """Whether the entry's record, the blobs stored with it and its sample sets are what they were."""
        name = record_name(entry.record_id)
        if (name, "") in self._seen:
            raise _FoundError(entry_name(entry.index), f"doubled: {name} has an earlier entry")
        self._seen.add((name, ""))
        if data is None:
            raise _removed(name, entry)
        if hashlib.sha256(data).hexdigest() != entry.record_id:
            raise _FoundError(name, "changed: its bytes do not have the SHA-256 in its name")
        try:
            record = read_record(data)
        except RecordError as error:
            raise _FoundError(name, str(error)) from None
        if (record.kind, record.subject) != (entry.kind, entry.subject):
            raise _FoundError(entry_name(entry.index), f"says {entry.kind} {entry.subject}; its record does not")
        for one in record.samples.sets:
            self._check_set(one, record, entry)
        for blob, digest in entry.blobs.items():
            if (blob, digest) not in self._seen and blob not in self._sizes:
                if hashlib.sha256(self._data(blob, entry)).hexdigest() != digest:
                    raise _FoundError(blob, f"changed: {entry_name(entry.index)} has another SHA-256 for it")
                self._seen.add((blob, digest))

    def signatures(self, names: list[str], records: frozenset[str]) -> None:
        """Whether the models' signatures, which were made after their records, are whole and speak of these."""
        for name in names:
            bundle = self._store.read(name) or b""
            faults = list[str]()
            for public in self._keys.values():
                try:
                    said = read_statement(bundle, public).easel or {}
                except SignatureError as error:
                    faults.append(str(error))
                else:
                    if record_name(str(said.get("record"))) not in records or str(said.get("record")) not in name:
                        raise _FoundError(name, "moved: it is the signature of another model than its name says")
                    break
            else:
                raise _FoundError(name, f"changed: {(faults or ['no key to check it with'])[-1]}")

    def _check_keys(self) -> None:
        for name in self.listed(KEYS):
            data = self._checked_key(name, self._store.read(name) or b"")
            if not self._trusted:
                self._keys[key_id(data)] = data

    def _checked_key(self, name: str, data: bytes) -> bytes:
        with suppress(LedgerError):
            if name == key_name(key_id(data)) and canonical_pem(data, name) == data:
                return data
        raise _FoundError(name, "changed: not the public key whose SHA-256 is its name")

    def _head(self, name: str, data: bytes | None) -> Head:
        try:
            head = Head.read(data or b"", name)
            is_whole = head.tree.size == head.size > head.previous_size
        except ValueError as error:
            raise _FoundError(name, f"changed: {str(error).removeprefix(name + ': ')}") from None
        if name != head_name(head.size) or not is_whole:
            raise _FoundError(name, f"changed or moved: it says that it is the head of {head.size} entries")
        self._check_signature(head, name)
        return head

    def _check_signature(self, head: Head, name: str) -> None:
        if head.key_id not in self._keys:
            if self._trusted:
                raise _FoundError(name, f"signed with key {head.key_id}, which is none of the trusted keys")
            late = self._store.read(key_name(head.key_id))  # made since the keys were listed
            if late is None:
                renamed = [head.model_copy(update={"key_id": one}) for one in self._keys]
                if any(verify_signature(self._keys[one.key_id], one.signed, one.der) for one in renamed):
                    raise _FoundError(name, f"changed: it names key {head.key_id} but is signed with another")
                raise _FoundError(key_name(head.key_id), f"removed, or never there: {name} is signed with it")
            self._keys[head.key_id] = self._checked_key(key_name(head.key_id), late)
        if not verify_signature(self._keys[head.key_id], head.signed, head.der):
            raise _FoundError(name, f"changed: its signature with key {head.key_id[:16]} is of something else")

    def _entry_data(self, names: list[str], head: Head | None) -> list[bytes]:
        found = list[bytes]()
        for data in read_many(self._store, [entry_name(index) for index in range(len(names))]):
            if data is None:
                is_counted = head is not None and len(found) < head.size
                reason = f"{head_name(head.size)} counts it" if head and is_counted else f"{names[-1]} is there"
                raise _FoundError(entry_name(len(found)), f"removed: {reason}")
            found.append(data)
        return found

    def _pin(self, head: Head, data: list[bytes], hashes: list[bytes]) -> None:
        """Follow the hashes from the signed head back to the first entry."""
        expected = head.last
        places = {one.hex(): index for index, one in enumerate(hashes)}
        for index in range(head.size - 1, -1, -1):
            if hashes[index].hex() != expected:
                moved = places.get(expected)
                what = f"reordered: what stood here is {entry_name(moved)}" if moved is not None else "changed"
                raise _FoundError(entry_name(index), f"{what}; {head_name(head.size)} signs for another entry here")
            expected = _entry(data[index], index).previous
        if expected:
            raise _FoundError(entry_name(0), "removed: the first entry names one before it")

    def _data(self, name: str, entry: Entry) -> bytes:
        _check_name(name, entry_name(entry.index))
        data = self._store.read(name)
        if data is None:
            raise _removed(name, entry)
        return data

    def _check_set(self, told: SampleSet, record: Record, entry: Entry) -> None:
        name = f"{SETS}{told.root}"
        packed = b"" if name in self._sizes else self._data(name, entry)
        size = self._sizes.get(name, len(packed))
        if size != told.count * WIDTH:
            raise _FoundError(name, f"changed: {size} bytes, where {record.subject} says {told.count} samples")
        if name not in self._sizes and (fault := first_fault(packed, told.root)):
            raise _FoundError(name, f"not the samples that {record.subject} names: {fault}")
        self._sizes[name] = size


def _check_name(name: str, place: str) -> None:
    """A name that can be none is a fault of who says it."""
    try:
        checked_name(name)
    except LedgerError as error:
        raise _FoundError(place, str(error)) from None


def _removed(name: str, entry: Entry) -> _FoundError:
    return _FoundError(name, f"removed: {entry_name(entry.index)} holds it")


def _entry(data: bytes, index: int) -> Entry:
    try:
        entry = Entry.read(data, entry_name(index))
    except LedgerError as error:
        raise _FoundError(entry_name(index), str(error).removeprefix(entry_name(index) + ": ")) from None
    if entry.index != index:
        raise _FoundError(entry_name(index), f"reordered: it says that it is entry {entry.index}")
    return entry
