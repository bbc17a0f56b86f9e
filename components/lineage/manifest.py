"""Sets of samples: sorted unique SHA-256 digests in one buffer, their Merkle root, and proofs of presence and absence.

The root is RFC 6962's Merkle tree hash (section 2.1). A leaf's data, 64 bytes, is a member and its successor; the first
leaf is 32 bytes of zeros and the first member, the last one the last member and 32 bytes of 0xff. So n members are
n + 1 leaves, which cover the whole range of digests, and one leaf with its audit path (section 2.1.1) proves either
that a sample is in the set (the leaf begins with it) or that it is not (the leaf's ends lie on either side of it).
At ten million members that takes at most 848 bytes. The ends themselves are no sample's digest, and are refused.

Sources of the linked leaves: RFC 4034 section 4 (NSEC: a name and the next one deny all between); Laurie, Sisson,
Arends and Blacka, RFC 5155 (the same over hashes); Tzialla et al., "Transparency Dictionaries with Succinct Proofs of
Correct Operation", ePrint 2021/1263 (an indexed Merkle tree: each leaf names the next key). That all leaves of a root
form such a chain is not shown by a proof, but by the members themselves: `first_fault`.
"""

import base64
import binascii
import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.lineage.merkle import leaf_hash, packed_root, verify_inclusion

WIDTH = 32
_FIRST, _LAST = bytes(WIDTH), b"\xff" * WIDTH
_MAX_SIZE = 2**53


class ManifestError(ValueError):
    """No list of sample ids, or no proof; one line says what is wrong with it."""


@dataclass(frozen=True)
class SampleProof:
    """That a sample is in a set, or is not.

    Args:
        sample_id: the sample that the proof is about.
        size: how many members the set has; with `index`, it says which way the path goes.
        index: the place of the leaf, 0, ..., size.
        leaf: a member and its successor: the sample and the next one, or the two that it would stand between.
        path: hashes from the leaf to the root, lowest first.
    """

    sample_id: str
    size: int
    index: int
    leaf: tuple[str, str]
    path: tuple[bytes, ...]

    @property
    def is_member(self) -> bool:
        """What the proof claims; `check` says whether it holds."""
        return self.leaf[0] == self.sample_id

    @property
    def num_bytes(self) -> int:
        """How long it is: the path, the leaf, and two numbers of 8 bytes."""
        return WIDTH * (len(self.path) + 2) + 16

    def to_json(self) -> dict[str, Any]:
        """As a value for a document; the path is base64 of all hashes in a row."""
        path = base64.b64encode(b"".join(self.path)).decode("ascii")
        place = {"sample": self.sample_id, "size": self.size, "index": self.index}
        return {**place, "leaf": list(self.leaf), "path": path}

    @classmethod
    def from_json(cls, value: Any) -> "SampleProof":
        """The proof that `to_json` wrote; also takes its text.

        Raises:
            ManifestError: it is none.
        """
        try:
            found: dict[str, Any] = json.loads(value) if isinstance(value, str | bytes) else value
            hashes = base64.b64decode(str(found["path"]), validate=True)
            low, high = map(_hex, found["leaf"])
            size, index = int(found["size"]), int(found["index"])
            sample_id = _hex(found["sample"])
        except (KeyError, TypeError, ValueError, OverflowError, binascii.Error) as error:
            raise ManifestError(f"no proof about a sample: {type(error).__name__}: {error}") from None
        if len(hashes) % WIDTH:
            raise ManifestError(f"no proof about a sample: its path has {len(hashes)} bytes, no multiple of {WIDTH}")
        path = tuple(hashes[start : start + WIDTH] for start in range(0, len(hashes), WIDTH))
        return cls(sample_id, size, index, (low, high), path)


def pack(ids: Iterable[str]) -> bytes:
    """The ids sorted and without repeats, as digests of 32 bytes in a row.

    Raises:
        ManifestError: one of them is no SHA-256 in lower-case hex, or is all zeros or all ones.
    """
    joined = b"".join(bytes.fromhex(_sample(one)) for one in ids)
    return np.unique(np.frombuffer(joined, f"S{WIDTH}")).tobytes()


def unpack(packed: bytes) -> Iterator[str]:
    """The ids in order, in hex."""
    for start in range(0, len(packed), WIDTH):
        yield packed[start : start + WIDTH].hex()


def root_of(packed: bytes) -> str:
    """The Merkle root of a packed set, in hex; that of the empty set is over the one leaf from end to end."""
    return packed_root(packed, 2 * WIDTH, step=WIDTH, before=_FIRST, after=_LAST).hex()


def contains(packed: bytes, sample_id: str) -> bool:
    """Whether the sample is a member; by halving."""
    place = _place(packed, sample_id)
    return packed[place * WIDTH : (place + 1) * WIDTH].hex() == sample_id


def prove(packed: bytes, sample_id: str) -> SampleProof:
    """That the sample is in the set, or that it is not; hashes the whole set once.

    Raises:
        ManifestError: `sample_id` is no SHA-256 in hex, or is all zeros or all ones.
    """
    size = len(packed) // WIDTH
    index = _place(packed, _sample(sample_id)) + contains(packed, sample_id)
    low = packed[(index - 1) * WIDTH : index * WIDTH] if index else _FIRST
    high = packed[index * WIDTH : (index + 1) * WIDTH] or _LAST
    return SampleProof(sample_id, size, index, (low.hex(), high.hex()), tuple(_path(packed, size + 1, index)))


def check(proof: SampleProof, root: str) -> bool:
    """Whether the proof holds of the set with this root; what it then shows is `proof.is_member`."""
    low, high = map(bytes.fromhex, proof.leaf)
    if not 0 <= proof.index <= proof.size <= _MAX_SIZE or not _is_hex(root):
        return False
    if (low == _FIRST) != (proof.index == 0) or (high == _LAST) != (proof.index == proof.size):
        return False
    if proof.sample_id == _FIRST.hex() or not proof.leaf[0] <= proof.sample_id < proof.leaf[1]:
        return False
    found = leaf_hash(low + high)
    return verify_inclusion(found, proof.index, proof.size + 1, proof.path, bytes.fromhex(root))


def first_fault(packed: bytes, root: str, others: Sequence[bytes] = ()) -> str | None:
    """What is wrong with a packed set that should have this root, by the row (counted from 0); None if nothing is.

    A wrong digest that leaves the order as it was is named by its row if `others` (packed sets that its members should
    be in too) do not hold it, and is only known to exist otherwise.
    """
    if len(packed) % WIDTH:
        return f"row {len(packed) // WIDTH}: cut off after {len(packed) % WIDTH} of {WIDTH} bytes"
    for row, end in ((0, _FIRST), (len(packed) // WIDTH - 1, _LAST)):
        if packed[row * WIDTH : (row + 1) * WIDTH] == end:
            return f"row {row} ({end.hex()}) stands for an end of the list and is no sample"
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


def _path(packed: bytes, size: int, index: int) -> list[bytes]:
    """The hashes that lead from leaf `index` of `size` to the root, lowest first."""
    path = list[bytes]()
    start, stop = 0, size
    while stop - start > 1:
        middle = _middle(start, stop)
        if index < middle:
            path.append(_subtree(packed, size, middle, stop))
            stop = middle
        else:
            path.append(_subtree(packed, size, start, middle))
            start = middle
    return path[::-1]


def _subtree(packed: bytes, size: int, start: int, stop: int) -> bytes:
    """The root over leaves start, ..., stop - 1 of `size`."""
    part = memoryview(packed)[max(start - 1, 0) * WIDTH : stop * WIDTH]
    before, after = b"" if start else _FIRST, _LAST if stop == size else b""
    return packed_root(part, 2 * WIDTH, step=WIDTH, before=before, after=after)


def _middle(low: int, high: int) -> int:
    """Where RFC 6962 splits a tree: after the largest power of two smaller than its size."""
    return low + (1 << ((high - low - 1).bit_length() - 1))


def _place(packed: bytes, sample_id: str) -> int:
    """The place of the first member that is not smaller."""
    digest = bytes.fromhex(sample_id)
    return bisect_left(range(len(packed) // WIDTH), digest, key=lambda at: packed[at * WIDTH : (at + 1) * WIDTH])


def _is_hex(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 2 * WIDTH and set(value) <= set("0123456789abcdef")


def _hex(value: Any) -> str:
    """`value`, if it is a SHA-256 in lower-case hex."""
    if not _is_hex(value):
        raise ManifestError(f"{str(value)[:80]!r} is no sample id: 64 hexadecimal digits in lower case")
    return value


def _sample(value: Any) -> str:
    """`value`, if it is a sample's id, and not an end of the range that no image's digest is."""
    if bytes.fromhex(_hex(value)) in (_FIRST, _LAST):
        raise ManifestError(f"{value[:8]}...: 64 times {value[0]} stands for an end of the list and is no sample id")
    return value
