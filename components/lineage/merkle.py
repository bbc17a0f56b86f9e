"""Merkle trees over a list of leaves, as Certificate Transparency has them, and proofs about them.

A leaf's hash is SHA-256(0x00 || data), a node's SHA-256(0x01 || left || right); a tree of n leaves has the largest
power of two below n at its left. Functions take leaf *hashes*, except `leaf_hash`.

Sources: RFC 6962 section 2.1 (tree and proofs); RFC 9162 sections 2.1.3.2 and 2.1.4.2 (how proofs are verified).
Standard library only: `packed_root` runs this file as a program of its own.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

EMPTY_ROOT = sha256().digest()
_BLOCK = 1 << 14
_FEWEST_SHARED = 16
"""Blocks from which on it pays to start processes."""
_MOST_PROCESSES = 8


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data)."""
    return sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return sha256(b"\1" + left + right).digest()


class Frontier:
    """A tree that grows at its right, by the roots of its full subtrees from left (largest) to right: O(log n)."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if len(peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} full subtrees, not {len(peaks)}")
        self.size = size
        self.peaks = list(peaks)

    def add(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        size, self.size = self.size, self.size + 1
        while size & 1:
            leaf = node_hash(self.peaks.pop(), leaf)
            size >>= 1
        self.peaks.append(leaf)

    def root(self) -> bytes:
        """The root of the leaves so far."""
        if not self.peaks:
            return EMPTY_ROOT
        found = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            found = node_hash(peak, found)
        return found


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; SHA-256 of nothing for none."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.add(leaf)
    return frontier.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root, lowest first (RFC 6962 section 2.1.1).

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise ValueError(f"leaf {index} of {len(leaves)}; allowed: 0 to {len(leaves) - 1}")
    path = list[bytes]()
    start, stop = 0, len(leaves)
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            path.append(root(leaves[middle:stop]))
            stop = middle
        else:
            path.append(root(leaves[start:middle]))
            start = middle
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether leaf hash `leaf` stands at `index` of the `size` leaves with that root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes(proof):
        return False
    place, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """The hashes which show that the first `old_size` leaves are still what they were (RFC 6962 section 2.1.2).

    Raises:
        ValueError: `old_size` is not 1, ..., number of leaves.
    """
    if not 0 < old_size <= len(leaves):
        raise ValueError(f"a tree of {len(leaves)} leaves has no earlier size {old_size}")
    path = list[bytes]()
    start, stop, is_whole = 0, len(leaves), True
    while start + (size := old_size - start) < stop:
        middle = start + _split(stop - start)
        if old_size <= middle:
            path.append(root(leaves[middle:stop]))
            stop = middle
        else:
            path.append(root(leaves[start:middle]))
            start, is_whole = middle, False
    return path[::-1] if is_whole else [root(leaves[start : start + size]), *path[::-1]]


def verify_consistency(old_size: int, old_root: bytes, size: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of `size` leaves begins with the one of `old_size` leaves (RFC 9162 section 2.1.4.2)."""
    if old_size == size:
        return not proof and old_root == new_root
    if not 0 < old_size < size or not _are_hashes(proof):
        return False
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not path:
        return False
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _are_hashes(proof: Sequence[bytes]) -> bool:
    """Of other lengths, two could be cut apart elsewhere than where a node joins them."""
    return all(len(one) == len(EMPTY_ROOT) for one in proof)


def packed_root(
    packed: bytes | bytearray | memoryview, width: int, *, step: int = 0, before: bytes = b"", after: bytes = b""
) -> bytes:
    """The root over the leaves of `width` bytes each that lie one after another in `before`, `packed`, `after`.

    With a `step`, a leaf begins that many bytes after the last one did: below `width`, leaves share bytes. Many leaves
    are shared among as many processes as there are cores, which hold one block of them at a time.

    Raises:
        ValueError: the bytes are no whole number of leaves.
    """
    step = step or width
    parts = (memoryview(before), memoryview(packed).cast("B"), memoryview(after))
    size, rest = divmod(sum(map(len, parts)) - (width - step), step) if 0 < step <= width else (0, 1)
    if rest or size < 0:
        raise ValueError(f"{len(parts[1])} bytes are no whole number of leaves of {step} bytes")
    num_blocks = -(-size // _BLOCK)
    cores = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)
    is_shared = num_blocks >= _FEWEST_SHARED and cores > 1
    at_once = -(-num_blocks // cores) * _BLOCK if is_shared else _BLOCK
    shares = (_cut(parts, at * step, (at + at_once) * step + width - step) for at in range(0, size, at_once))
    if not is_shared:
        return _join([_block_root(b"".join(share), width, step) for share in shares], size)
    with ThreadPoolExecutor(cores) as pool:
        roots = list(pool.map(lambda share: _roots_elsewhere(share, width, step), shares))
    return _join([root for some in roots for root in some], size)


def _cut(parts: Sequence[memoryview], start: int, stop: int) -> list[memoryview]:
    """Bytes start, ..., stop - 1 of the parts in a row, without a copy."""
    found = list[memoryview]()
    for part in parts:
        found.append(part[max(start, 0) : max(stop, 0)])
        start, stop = start - len(part), stop - len(part)
    return found


def _join(roots: list[bytes], size: int) -> bytes:
    """The root over blocks of which only the last may be short."""
    whole = size // _BLOCK
    frontier = Frontier()
    for one in roots[:whole]:
        frontier.add(one)
    for one in roots[whole:]:  # at most one: it stands right of every full subtree
        frontier.peaks.append(one)
    return frontier.root()


def _block_root(data: bytes, width: int, step: int) -> bytes:
    """The root over at most `_BLOCK` leaves, level by level; an odd one out goes up as it is."""
    starts = range(0, len(data) - (width - step), step)
    level = [sha256(b"\0" + data[at : at + width]).digest() for at in starts]
    while len(level) > 1:
        pairs = iter(level)
        above = [sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
        level = [*above, level[-1]] if len(level) & 1 else above
    return level[0]


def _roots_elsewhere(share: Sequence[memoryview], width: int, step: int) -> list[bytes]:
    """The roots of the blocks in `share`, made by this file as a process of its own."""
    program = [sys.executable, "-I", "-S", str(Path(__file__).absolute()), str(width), str(step)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for part in share:
            process.stdin.write(part)
        process.stdin.close()
        made = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"a process that hashes leaves ended with code {process.returncode}")
    return [made[at : at + 32] for at in range(0, len(made), 32)]


def _serve() -> None:
    """Read leaves from standard input, and write the blocks' roots when all are read."""
    width, step = map(int, sys.argv[1:])
    roots = list[bytes]()
    held = sys.stdin.buffer.read(width - step)
    while more := sys.stdin.buffer.read(step * _BLOCK):
        block = held + more
        roots.append(_block_root(block, width, step))
        held = block[len(block) - (width - step) :]
    sys.stdout.buffer.write(b"".join(roots))


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


if __name__ == "__main__":
    _serve()
