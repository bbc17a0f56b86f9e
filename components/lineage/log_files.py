"""The two kinds of file that the log is made of: entries, one a record, and signed heads.

An entry's canonical JSON is a leaf of the Merkle tree, so that a head covers order and times too. It also holds the
hash of the entry before it: from a signed head one can go back and name the very entry that was changed. A head holds
the roots of the tree's full subtrees, so that the next writer extends it without reading what lies before.
"""

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.lineage.canonical import CanonicalError, canonical, parse
from components.lineage.errors import LedgerError
from components.lineage.merkle import Frontier, leaf_hash
from components.lineage.times import Time

RECORDS, ENTRIES, HEADS, KEYS, SETS, SIGNATURES = "records/", "entries/", "heads/", "keys/", "sets/", "signatures/"

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
MaybeDigest = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def data(self) -> bytes:
        """The canonical JSON."""
        return canonical(self.model_dump(mode="json"))

    @classmethod
    def read(cls, data: bytes, name: str) -> Self:
        """What `data` says, if it is the canonical form of that; LedgerError names the file and what is wrong."""
        try:
            found = cls.model_validate(parse(data))
            if found.data != data:  # a default left out, a number as text: same meaning and signature, other bytes
                raise LedgerError(f"{name}: not written as it was signed, though it says the same")
            return found
        except CanonicalError as error:
            raise LedgerError(f"{name}: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            raise LedgerError(f"{name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


class Entry(_File):
    """One place in the log.

    Args:
        index: counts from 0.
        record_id: the record that stands here.
        previous: leaf hash of the entry before, in hex; "" for the first.
        appended_at: UTC, ISO 8601 with milliseconds and `Z`; never before the previous entry's.
        clock_behind_s: by how many seconds the writer's clock was behind the previous entry; "" if it was not.
        kind, subject: the record's.
        blobs: what else was stored with the record, by name: SHA-256.
    """

    schema_name: Literal["easel.entry/1"] = "easel.entry/1"
    index: int
    record_id: Digest
    previous: MaybeDigest
    appended_at: Time
    clock_behind_s: str = ""
    kind: str
    subject: str
    blobs: dict[str, Digest] = Field(default_factory=dict)

    @cached_property
    def leaf(self) -> bytes:
        """The leaf hash."""
        return leaf_hash(self.data)


class Head(_File):
    """A signed statement of what the log was when it had `size` entries.

    Args:
        size: entries that it covers.
        root: of the Merkle tree over them, in hex.
        frontier: roots of the tree's full subtrees, largest first, in hex.
        last: leaf hash of the last entry, in hex.
        previous_size: size of the head that this one extends; 0 for the first.
        signed_at: UTC, ISO 8601 with milliseconds and `Z`.
        key_id: whose signature it is.
        signature: of `signed`, DER, in hex.
    """

    schema_name: Literal["easel.head/1"] = "easel.head/1"
    size: int = Field(ge=1)
    root: Digest
    frontier: tuple[Digest, ...]
    last: Digest
    previous_size: int
    signed_at: Time
    key_id: Digest
    signature: str = ""

    @property
    def signed(self) -> bytes:
        """The bytes that the signature is of: the canonical JSON without it."""
        return canonical(self.model_dump(mode="json", exclude={"signature"}))

    @property
    def der(self) -> bytes:
        """The signature; b"" unless it is written in the one way that hex is written here."""
        try:
            found = bytes.fromhex(self.signature)
        except ValueError:
            return b""
        return found if found.hex() == self.signature else b""

    @property
    def tree(self) -> Frontier:
        """The tree that it describes, to be extended."""
        return Frontier(self.size, [bytes.fromhex(one) for one in self.frontier])


def record_name(record_id: str) -> str:
    """Where a record lies in the store."""
    return f"{RECORDS}{record_id}.json"


def entry_name(index: int) -> str:
    """Where an entry lies in the store."""
    return f"{ENTRIES}{index:012d}.json"


def head_name(size: int) -> str:
    """Where a head lies in the store."""
    return f"{HEADS}{size:012d}.json"


def key_name(key_id: str) -> str:
    """Where a public key lies in the store."""
    return f"{KEYS}{key_id}.pem"
