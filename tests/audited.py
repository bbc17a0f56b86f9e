"""Planted chains with catalogues on disk, for the audit summary: whose images they are is known beforehand."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from ledgers import Planted, sample_records

from components.lineage.audit.document import AuditError
from components.lineage.errors import LedgerError
from components.lineage.graph import Graph
from components.lineage.record import Record

WORDS = {
    "CC0-1.0": ("ann", "Meadow by ann, CC0-1.0", "meadow"),
    "CC-BY-4.0": ("<b>ben</b> | *x*", "Street by ben\nCC-BY-4.0", "street"),
}


@dataclass
class Audited:
    """A ledger in memory whose catalogues lie in files.

    `words` says by sample whose image it is: licence, creator, attribution, source, address.
    """

    records: list[Record]
    ids: dict[str, str]
    samples: Mapping[str, tuple[str, ...]]
    sets: dict[str, bytes]
    tables: dict[str, Path]
    words: dict[str, tuple[str, str, str, str, str]] = field(default_factory=dict)
    by_id: dict[str, Record] = field(default_factory=dict, init=False)

    @property
    def graph(self) -> Graph:
        """The records as a graph."""
        return Graph(self.records)

    def record(self, stage: str) -> Record:
        """A stage's record."""
        return self.find(self.ids[stage])

    def find(self, reference: str) -> Record:
        """As a ledger does."""
        if not self.by_id:
            self.by_id = {record.id: record for record in self.records}
        if reference not in self.by_id:
            raise AuditError(f"{reference}: no such record")
        return self.by_id[reference]

    def sample_set(self, root: str) -> bytes:
        """As a ledger does."""
        if root not in self.sets:
            raise LedgerError(f"sets/{root}: not there")
        return self.sets[root]


def audited(folder: Path) -> Audited:
    """The planted chain, its catalogue of every raw image written to `folder` and named by its real SHA-256."""
    planted = sample_records()
    words = _words(planted)
    file = folder / "catalogue.parquet"
    names = ("licence", "creator", "attribution", "source", "source_id")
    columns = {name: [told[at] for told in words.values()] for at, name in enumerate(names)}
    pq.write_table(pa.table({"sample_id": list(words), **columns}), file)
    real = hashlib.sha256(file.read_bytes()).hexdigest()
    false = planted.made["artifacts/tables/catalogue.parquet"].sha256
    records, ids = _with_digest(planted, false, real)
    return Audited(records, ids, planted.samples, planted.sets, {real: file}, words)


def _words(planted: Planted) -> dict[str, tuple[str, str, str, str, str]]:
    found = {}
    for number, sample in enumerate(planted.samples["received_ingest"]):
        licence = "CC0-1.0" if number % 3 else "CC-BY-4.0"
        creator, attribution, source = WORDS[licence]
        address = f"https://{'a' if number % 2 else 'b'}.example/{number}.png"
        found[sample] = (licence, creator, attribution, source, address)
    return found


def _with_digest(planted: Planted, old: str, new: str) -> tuple[list[Record], dict[str, str]]:
    """The same records with another digest of one file; ids, and whoever names them, follow."""
    renamed, records = {old: new}, list[Record]()
    for record in planted.records:
        text = record.model_dump_json()
        for before, after in renamed.items():
            text = text.replace(before, after)
        changed = Record.model_validate_json(text)
        renamed[record.id] = changed.id
        records.append(changed)
    return records, {name: renamed.get(one, one) for name, one in planted.ids.items()}
