"""Proofs about the log that a third party checks with a public key alone: files to hand out.

Sources: RFC 6962 sections 2.1.1 and 2.1.2; RFC 9162 sections 2.1.3.2 and 2.1.4.2.
"""

from pydantic import BaseModel, ConfigDict

from components.lineage.keys import key_id, verify_signature
from components.lineage.log_files import Digest, Entry, Head
from components.lineage.merkle import verify_consistency, verify_inclusion


class _Proof(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    path: tuple[Digest, ...]
    head: Head

    @property
    def hashes(self) -> list[bytes]:
        """The proof's hashes."""
        return [bytes.fromhex(one) for one in self.path]


class InclusionProof(_Proof):
    """That an entry (with its record's id and time) stands in the log under a signed head."""

    entry: Entry

    def holds(self, public_pem: bytes) -> bool:
        """Whether it does, by the word of that key alone."""
        root = bytes.fromhex(self.head.root)
        return is_signed(self.head, public_pem) and verify_inclusion(
            self.entry.leaf, self.entry.index, self.head.size, self.hashes, root
        )


class ConsistencyProof(_Proof):
    """That the log under a signed head begins with the one that had `old_size` entries."""

    old_size: int

    def holds(self, old_root: str, public_pem: bytes) -> bool:
        """Whether it does, if that earlier log had the root `old_root` (from a head kept elsewhere)."""
        roots = bytes.fromhex(old_root), bytes.fromhex(self.head.root)
        return is_signed(self.head, public_pem) and verify_consistency(
            self.old_size, roots[0], self.head.size, roots[1], self.hashes
        )


def is_signed(head: Head, public_pem: bytes) -> bool:
    """Whether the head is signed with that key."""
    return verify_signature(public_pem, head.signed, head.der) and head.key_id == key_id(public_pem)
