"""From a model's weights back to its sources, offline: step by step, until the first thing that does not hold.

Each step trusts only the steps before it: the signature names a record, the log proves the record, the record names
what it was made from, and so on up to the sources. Nothing is written.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from components.lineage.canonical import digest
from components.lineage.chain import BrokenError, Chain, binding, name_of, walk
from components.lineage.chain_sets import ChainSets
from components.lineage.errors import LedgerError
from components.lineage.folder_digests import FolderError, Told, folder_digests, tree_digest
from components.lineage.graph import Graph
from components.lineage.held_files import Held, check_held, expected
from components.lineage.keys import key_id
from components.lineage.log import Ledger
from components.lineage.log_check import examine_log
from components.lineage.log_files import KEYS, key_name
from components.lineage.model_signature import (
    SignatureError,
    Statement,
    first_difference,
    key_hint,
    read_statement,
    signed_with,
)
from components.lineage.record import Item, Record


@dataclass(frozen=True)
class Step:
    """Something that holds: what was asked, what was found, and remarks that are no faults."""

    name: str
    found: str
    notes: tuple[str, ...] = ()


@dataclass
class Subject:
    """What is verified, and what the steps so far found out.

    Args:
        folder: the model.
        signature: where its signature lies, for messages, and its bytes.
        trusted: public keys (PEM) known from elsewhere; none: those that lie in the ledger are believed.
        ledger, root: the log, and the workspace whose files are read.
        is_quick: files other than the model's are not read.
        tell: told of every chunk that is read.
    """

    folder: Path
    signature: str
    bundle: bytes
    trusted: Sequence[bytes]
    ledger: Ledger
    root: Path
    is_quick: bool = False
    tell: Told | None = None
    statement: Statement = field(init=False)
    files: Mapping[str, str] = field(init=False)
    graph: Graph = field(init=False)
    chain: Chain = field(init=False)
    held: Held = field(default_factory=lambda: Held((), (), (), 0))
    sets: ChainSets = field(init=False)

    @property
    def keys(self) -> list[bytes]:
        """The public keys that are believed; BrokenError for one in the ledger that is not what its name says."""
        if self.trusted:
            return list(self.trusted)
        return [_key(self.ledger, name) for name in self.ledger.store.names(KEYS)]

    @property
    def record(self) -> Record:
        """The model's own record."""
        return self.chain.records[-1]


def steps(subject: Subject) -> Iterator[Step]:
    """Every step that holds, as soon as it does.

    Raises:
        BrokenError: at the first that does not.
    """
    yield check_signature(subject)
    yield check_record(subject)
    yield check_chain(subject)
    yield check_files(subject)
    yield check_sets(subject)


def check_signature(subject: Subject) -> Step:
    """The signature is made with a trusted key, over exactly the files of the model."""
    try:
        hint, hints = signed_with(subject.bundle), {key_hint(pem): pem for pem in subject.keys}
        keys = [pem for name, pem in hints.items() if hint in (name, "")]
        if not keys:
            known = ", ".join(name[:16] for name in hints) or "none"
            told = (
                f"signed with key {hint[:16]}, which is not trusted (trusted: {known}); name its public key with --key"
            )
            raise BrokenError(subject.signature, told)
        public, subject.statement = _read_signed(subject.bundle, keys)
        subject.files = folder_digests(subject.folder, tell=subject.tell)
    except SignatureError as error:
        raise BrokenError(subject.signature, str(error)) from None
    except FolderError as error:
        raise BrokenError(str(subject.folder), str(error)) from None
    if fault := first_difference(subject.folder, subject.statement, subject.files):
        raise BrokenError(fault.place, fault.message)
    size = sum((subject.folder / name).stat().st_size for name in subject.files)
    return Step("signature", f"{len(subject.files)} files, {size / 1e6:.1f} MB, signed with key {key_id(public)[:16]}")


def check_record(subject: Subject) -> Step:
    """The log holds, and holds the record that the signature names; the record names this very model."""
    if subject.statement.easel is None:
        told = "names no record: signed by another tool; its files are as they were signed, and no more can be told"
        raise BrokenError(subject.signature, told)
    log = examine_log(subject.ledger.store, subject.trusted)
    if log.fault:
        raise BrokenError(log.fault.place, log.fault.message)
    record_id = str(subject.statement.easel.get("record", ""))
    try:
        proof = subject.ledger.inclusion(record_id)
        records = [record for entry, record in subject.ledger.records() if entry.index < proof.head.size]
    except LedgerError as error:
        raise BrokenError(f"record {record_id}", f"{error}; is this the ledger that the model was made with?") from None
    if not any(proof.holds(pem) for pem in subject.keys):
        raise BrokenError(
            f"heads/{proof.head.size:012d}.json", "its proof of the record does not hold under a trusted key"
        )
    subject.graph = Graph(records)
    record = subject.graph.record(record_id)
    found = tree_digest(subject.files)
    if not any(item.sha256 == found for item in record.outputs):
        if extra := sorted(subject.files.keys() - subject.statement.files.keys()):  # the format leaves git's files out
            told = f"not signed, and nothing that {name_of(record)} wrote; take it away"
            raise BrokenError(str(subject.folder / extra[0]), told)
        named = ", ".join(f"{item.path} {item.sha256}" for item in record.outputs)
        raise BrokenError(str(subject.folder), f"has the digest {found}; {name_of(record)} wrote {named}")
    size = f"{proof.head.size} entries, head signed {proof.head.signed_at}"
    return Step(
        "record", f"{record.id[:16]} ({record.subject}) is entry {proof.entry.index} of the log: {size}", log.remarks
    )


def check_chain(subject: Subject) -> Step:
    """Every input of every record up to the sources is the output of its maker; the signature binds to their sets."""
    assert subject.statement.easel is not None, "check_record comes first"
    told = dict(subject.statement.easel)
    chain = subject.chain = walk(subject.graph, str(told["record"]))
    for name, bound in binding(subject.graph, subject.record).items():
        if digest(told.get(name)) != digest(bound):
            about = f"binds another {name} than {name_of(subject.record)} has; sign the model again"
            raise BrokenError(subject.signature, about)
    return Step(
        "records", f"{len(chain.records)} records, {chain.links} inputs, each from its maker, up to {_named(chain)}"
    )


def check_files(subject: Subject) -> Step:
    """What of all that still lies in the workspace has the bytes that were recorded."""
    model = _own_paths(subject)
    if subject.is_quick:
        there = sum(place.exists() for place, _ in expected(subject.chain, subject.root, model))
        return Step("files", f"not read (--quick); {there} of them lie in the workspace")
    held = subject.held = check_held(subject.chain, subject.graph, subject.ledger, subject.root, model, subject.tell)
    notes = [f"{path}: not in the workspace" for path in held.gone]
    notes += [f"{path}: holds what another run made, or a takedown left" for path in held.others]
    told = f"{len(held.same)} as recorded, {held.num_bytes / 1e6:.1f} MB"
    gone = f"; {len(held.gone)} no longer here" if held.gone else ""
    return Step("files", told + gone, tuple(notes))


def check_sets(subject: Subject) -> Step:
    """The sample sets have their roots, and no sample came to the weights past what was offered, kept and received."""
    subject.sets = ChainSets(subject.chain, subject.ledger)
    checked = subject.sets.check_order()
    return Step(
        "samples", f"{len(subject.sets)} sets have their Merkle roots; {checked} lie within what they came from"
    )


def bytes_to_read(subject: Subject) -> int:
    """How many bytes will have been read when all files are, so far as is known yet."""
    model = sum(file.stat().st_size for file in subject.folder.rglob("*") if file.is_file())
    if subject.is_quick or not hasattr(subject, "chain"):
        return model
    others = expected(subject.chain, subject.root, _own_paths(subject))
    return model + sum(items[0].size for place, items in others if place.exists())


def _own_paths(subject: Subject) -> set[str]:
    """Where the model's own record wrote it."""
    return {item.path for item in subject.record.outputs if item.sha256 == tree_digest(subject.files)}


def _read_signed(bundle: bytes, keys: Sequence[bytes]) -> tuple[bytes, Statement]:
    """What the signature says, and with which of the keys it is made: a signature may leave that open."""
    for public in keys[:-1]:
        with suppress(SignatureError):
            return public, read_statement(bundle, public)
    return keys[-1], read_statement(bundle, keys[-1])


def _key(ledger: Ledger, name: str) -> bytes:
    pem = ledger.store.read(name) or b""
    with suppress(LedgerError):
        if name == key_name(key_id(pem)):
            return pem
    raise BrokenError(name, "changed: not the public key whose SHA-256 is its name; compare it with its owner's")


def _named(chain: Chain) -> str:
    def one(item: Item) -> str:
        return item.path

    return ", ".join(dict.fromkeys(map(one, chain.sources))) or "no source"
