"""What the ledger holds of stages already, kept in this process while a build goes on: who made which bytes.

Only what a later record needs is kept: names and hashes, no parameters. Each call reads what was appended since.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from components.lineage.record import Record

if TYPE_CHECKING:
    from components.lineage.log import Ledger


@dataclass(frozen=True)
class Known:
    """A stage's record as later ones look at it: `outputs` is (SHA-256, DVC's hash) by path."""

    id: str
    stage: str
    fingerprint: str
    started_at: str
    outputs: dict[str, tuple[str, str]]
    is_promotable: bool
    notes: tuple[str, ...]


@dataclass
class KnownRecords:
    """The stage records of a ledger, by what they were made from and by what they made; newest last."""

    size: int = 0
    by_fingerprint: dict[str, list[Known]] = field(default_factory=dict[str, list[Known]])
    by_output: dict[str, list[Known]] = field(default_factory=dict[str, list[Known]])

    by_dvc_hash: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def read(self, ledger: "Ledger") -> "KnownRecords":
        """This, with what `ledger` got since the last time.

        Raises:
            ValueError: a record is not what the log says.
        """
        new = ledger.entries(self.size)
        for entry, record in ledger.records([one for one in new if one.kind in ("stage", "accept")]):
            self.add(record, entry.record_id)
            self.size = entry.index + 1
        self.size = new[-1].index + 1 if new else self.size
        return self

    def add(self, record: Record, record_id: str) -> None:
        """Take in one record: of a stage, or that one counts as made by other code. Other decisions made nothing."""
        if record.kind == "accept":
            accepted, known = self.of(str(record.decision.get("fingerprint_before", ""))), self.of(record.fingerprint)
            self.by_fingerprint[record.fingerprint] = [*known, *(one for one in accepted if one not in known)]
        if record.kind != "stage":
            return
        outputs = {item.path: (item.sha256, item.dvc) for item in record.outputs}
        told = (record.is_promotable, record.notes)
        one = Known(record_id, record.subject, record.fingerprint, record.started_at, outputs, *told)
        self.by_fingerprint.setdefault(record.fingerprint, []).append(one)
        for path, (sha256, dvc) in outputs.items():
            self.by_dvc_hash.add((path, dvc))
            self.by_output.setdefault(sha256, []).append(one)

    def of(self, fingerprint: str) -> list[Known]:
        """Every record of one fingerprint, oldest first."""
        return self.by_fingerprint.get(fingerprint, [])

    def maker(self, path: str, sha256: str) -> Known | None:
        """The newest record that made these bytes, there rather than elsewhere."""
        found = self.by_output.get(sha256, [])
        there = [one for one in found if one.outputs.get(path, ("",))[0] == sha256]
        return (there or found or [None])[-1]

    def under_dvc_hash(self, path: str, dvc: str) -> bool:
        """Whether a record made `path` under that hash of DVC's."""
        return (path, dvc) in self.by_dvc_hash

    def damaged(self, fingerprint: str, found: dict[str, tuple[str, str]]) -> str:
        """The first path whose bytes are none of those that a record names under the same hash of DVC's; "" if none.

        DVC calls them the same, SHA-256 does not: so they were changed since, or came back damaged out of a cache.
        """
        for path, (sha256, dvc) in found.items():
            named = [one.outputs[path][0] for one in self.of(fingerprint) if one.outputs.get(path, ("", ""))[1] == dvc]
            if named and sha256 not in named:
                return path
        return ""
