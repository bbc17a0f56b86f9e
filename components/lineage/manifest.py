"""Sets of samples: sorted unique SHA-256 digests in one buffer, their Merkle root, and proofs of presence and absence.

The root is RFC 6962's Merkle tree hash (section 2.1) with the 32-byte digests, in ascending order, as leaf data. As
they are sorted, two members that stand beside each other prove that nothing lies between them. A proof names the
members it stands on, which take consecutive places in the tree, and the hashes of the largest subtrees without them,
from left to right: with one member that is section 2.1.1's audit path, with two their paths without the shared part.
"""

import base64
import binascii
import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.lineage.merkle import leaf_hash, node_hash, packed_root

WIDTH = 32
_MAX_SIZE = 2**53


class ManifestError(ValueError):
    """No list of sample ids, or no proof; one line says what is wrong with it."""


@dataclass(frozen=True)
class SampleProof:
    """That a sample is in a set, or is not.

    Args:
        sample_id: the sample that the proof is about.
        size: how many members the set has.
        index: the place of the first of `members`.
        members: the sample itself, if it is in the set. Else its neighbours: two, or one at an end of the list, or none
            of the empty set.
        path: hashes of the largest subtrees without `members`, from left to right.
    """

    sample_id: str
    size: int
    index: int
    members: tuple[str, ...]
    path: tuple[bytes, ...]

    @property
    def is_member(self) -> bool:
        """What the proof claims; `check` says whether it holds."""
        return self.members == (self.sample_id,)

    @property
    def num_bytes(self) -> int:
        """How long it is: hashes, neighbours, and two numbers of 8 bytes."""
        return WIDTH * (len(self.path) + (0 if self.is_member else len(self.members))) + 16

    def to_json(self) -> dict[str, Any]:
        """As a value for a document; hashes are base64 of all of them in a row."""
        path = base64.b64encode(b"".join(self.path)).decode("ascii")
        place = {"sample": self.sample_id, "size": self.size, "index": self.index}
        return {**place, "members": list(self.members), "path": path}

    @classmethod
    def from_json(cls, value: Any) -> "SampleProof":
        """The proof that `to_json` wrote; also takes its text.

        Raises:
            ManifestError: it is none.
        """
        try:
            found: dict[str, Any] = json.loads(value) if isinstance(value, str | bytes) else value
            hashes = base64.b64decode(str(found["path"]), validate=True)
            members = tuple(_hex(member) for member in found["members"])
            size, index = int(found["size"]), int(found["index"])
            sample_id = _hex(found["sample"])
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise ManifestError(f"no proof about a sample: {type(error).__name__}: {error}") from None
        if len(hashes) % WIDTH:
            raise ManifestError(f"no proof about a sample: its path has {len(hashes)} bytes, no multiple of {WIDTH}")
        path = tuple(hashes[start : start + WIDTH] for start in range(0, len(hashes), WIDTH))
        return cls(sample_id, size, index, members, path)


def pack(ids: Iterable[str]) -> bytes:
    """The ids sorted and without repeats, as digests of 32 bytes in a row.

    Raises:
        ManifestError: one of them is no SHA-256 in lower-case hex.
    """
    joined = b"".join(bytes.fromhex(_hex(one)) for one in ids)
    return np.unique(np.frombuffer(joined, f"S{WIDTH}")).tobytes()


def unpack(packed: bytes) -> Iterator[str]:
    """The ids in order, in hex."""
    for start in range(0, len(packed), WIDTH):
        yield packed[start : start + WIDTH].hex()


def root_of(packed: bytes) -> str:
    """The Merkle root of a packed set, in hex; the empty set has SHA-256 of nothing."""
    return packed_root(packed, WIDTH).hex()


def contains(packed: bytes, sample_id: str) -> bool:
    """Whether the sample is a member; by halving."""
    place = _place(packed, sample_id)
    return packed[place * WIDTH : (place + 1) * WIDTH].hex() == sample_id


def prove(packed: bytes, sample_id: str) -> SampleProof:
    """That the sample is in the set, or that it is not; hashes the whole set once.

    Raises:
        ManifestError: `sample_id` is no SHA-256 in hex.
    """
    size, place = len(packed) // WIDTH, _place(packed, _hex(sample_id))
    is_member = contains(packed, sample_id)
    first = place if is_member else max(place - 1, 0)
    stop = min(place + 1, size)
    members = tuple(unpack(packed[first * WIDTH : stop * WIDTH]))
    view = memoryview(packed)
    path = [packed_root(view[low * WIDTH : high * WIDTH], WIDTH) for low, high in _outside(0, size, first, stop)]
    return SampleProof(sample_id, size, first, members, tuple(path))


def check(proof: SampleProof, root: str) -> bool:
    """Whether the proof holds of the set with this root; what it then shows is `proof.is_member`."""
    first, stop = proof.index, proof.index + len(proof.members)
    if not 0 <= first <= stop <= proof.size <= _MAX_SIZE or not _shows_a_place(proof):
        return False
    if proof.size == 0:
        return not proof.path and root == root_of(b"")
    if len(proof.path) != sum(1 for _ in _outside(0, proof.size, first, stop)):
        return False
    leaves = [leaf_hash(bytes.fromhex(member)) for member in proof.members]
    return _joined(0, proof.size, first, leaves, iter(proof.path)).hex() == root


def first_fault(packed: bytes, root: str, others: Sequence[bytes] = ()) -> str | None:
    """What is wrong with a packed set that should have this root, by the row (counted from 0); None if nothing is.

    A wrong digest that leaves the order as it was is named by its row if `others` (packed sets that its members should
    be in too) do not hold it, and is only known to exist otherwise.
    """
    if len(packed) % WIDTH:
        return f"row {len(packed) // WIDTH}: cut off after {len(packed) % WIDTH} of {WIDTH} bytes"
    rows = np.frombuffer(packed, f"S{WIDTH}")
    if (wrong := np.flatnonzero(rows[1:] <= rows[:-1])).size:
        return _order_fault(packed, int(wrong[0]) + 1)
    if (found := root_of(packed)) == root:
        return None
    where = "; no row is out of order, so that a row was changed in place, added or removed"
    if (
        others
        and (strange := rows[~np.isin(rows, np.concatenate([np.frombuffer(o, f"S{WIDTH}") for o in others]))]).size
    ):
        at = _place(packed, sample := strange[:1].tobytes().hex())
        where = f"; row {at} ({sample}) is the first that no other set holds"
    return f"{len(rows)} rows have the root {found}, not {root}{where}"


def _order_fault(packed: bytes, row: int) -> str:
    """Which of two rows that are not in order is the wrong one: the one whose removal brings order back."""
    before, here = (packed[at * WIDTH : (at + 1) * WIDTH] for at in (row - 1, row))
    if before == here:
        return f"row {row} ({here.hex()}) is that of row {row - 1} again"
    after = packed[(row + 1) * WIDTH : (row + 2) * WIDTH]
    if (after and before < after) or (not after and row > 1):
        return f"row {row} ({here.hex()}) is out of order: row {row - 1} before it is {before.hex()}, which is larger"
    return f"row {row - 1} ({before.hex()}) is out of order: row {row} after it is {here.hex()}, which is smaller"


def _shows_a_place(proof: SampleProof) -> bool:
    """Whether the members are the sample, or such that it would have to stand between them if it were there."""
    match proof.members:
        case ():
            return proof.size == 0
        case (only,) if only == proof.sample_id:
            return True
        case (only,):
            is_first = proof.index == 0 and proof.sample_id < only
            return is_first or (proof.index == proof.size - 1 and only < proof.sample_id)
        case (before, after):
            return before < proof.sample_id < after
        case _:
            return False


def _outside(low: int, high: int, first: int, stop: int) -> Iterator[tuple[int, int]]:
    """The largest subtrees below (low, high) without any of the places first, ..., stop - 1, from left to right."""
    if high <= first or low >= stop:
        if low < high:
            yield low, high
    elif high - low > 1:
        middle = _middle(low, high)
        yield from _outside(low, middle, first, stop)
        yield from _outside(middle, high, first, stop)


def _joined(low: int, high: int, first: int, leaves: Sequence[bytes], path: Iterator[bytes]) -> bytes:
    """The hash of the subtree (low, high) from the hashes of some of its leaves and of what is outside them."""
    if high <= first or low >= first + len(leaves):
        return next(path)
    if high - low == 1:
        return leaves[low - first]
    middle = _middle(low, high)
    left = _joined(low, middle, first, leaves, path)
    return node_hash(left, _joined(middle, high, first, leaves, path))


def _middle(low: int, high: int) -> int:
    """Where RFC 6962 splits a tree: after the largest power of two smaller than its size."""
    return low + (1 << ((high - low - 1).bit_length() - 1))


def _place(packed: bytes, sample_id: str) -> int:
    """The place of the first member that is not smaller."""
    digest = bytes.fromhex(sample_id)
    return bisect_left(range(len(packed) // WIDTH), digest, key=lambda at: packed[at * WIDTH : (at + 1) * WIDTH])


def _hex(value: Any) -> str:
    """`value`, if it is a SHA-256 in lower-case hex."""
    if not (isinstance(value, str) and len(value) == 2 * WIDTH and set(value) <= set("0123456789abcdef")):
        raise ManifestError(f"{str(value)[:80]!r} is no sample id: 64 hexadecimal digits in lower case")
    return value
