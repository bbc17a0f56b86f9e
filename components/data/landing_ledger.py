"""What landings wrote beside a pool's parts: how far every item came, and what was refused.

The tables grow and are never rewritten, so an item may stand in several: as it failed, and as it came the day after;
in an old version, and in a new one. The last row of an item decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.data.arrow import pc
from components.data.records import REFUSALS, read_table

LANDED = pa.schema(
    [
        ("key", pa.string()),
        ("fingerprint", pa.string()),
        ("status", pa.string()),  # landed, or why not: refused, opted_out, failed, repeated
        ("name", pa.string()),  # what was refused: the item or a member of it
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("num_outcomes", pa.int64()),  # counts from the item's beginning; 0 where it is not of the item
        ("is_complete", pa.bool_()),
        ("digest", pa.string()),  # SHA-256 of image and words, of an item that is one sample; else ""
    ]
)
LISTED_TWICE = "listed_twice"
TABLES = "landed"


@dataclass(frozen=True)
class Known:
    """How far an item came in earlier landings."""

    fingerprint: str
    num_outcomes: int
    is_complete: bool
    failures: frozenset[str] = frozenset()
    digest: str = ""


@dataclass
class Ledger:
    """All tables of a pool, summed up."""

    num_tables: int = 0
    items: dict[str, Known] = field(default_factory=dict)
    repeats: set[str] = field(default_factory=set)

    def add(self, row: dict[str, Any]) -> None:
        """Take in one row of a table."""
        if _is_repeat(row):
            self.repeats.add(row["key"])
            return
        before = self.items.get(row["key"])
        if before is None or before.fingerprint != row["fingerprint"]:
            before = Known(row["fingerprint"], 0, is_complete=False)
        failed = {row["reason"]} if row["status"] == "failed" else set[str]()
        self.items[row["key"]] = Known(
            before.fingerprint,
            before.num_outcomes + row["num_outcomes"],
            before.is_complete or row["is_complete"],
            before.failures | failed,
            row["digest"],
        )

    def has_failed_so(self, key: str, reason: str) -> bool:
        """Whether an earlier table says already that an item failed for this reason, so that it need not again."""
        return key in self.items and reason in self.items[key].failures


def read_ledger(pool: Path) -> Ledger:
    """What the tables of `pool` say."""
    ledger = Ledger()
    for table in _tables(pool):
        for row in table.to_pylist():
            ledger.add(row)
        ledger.num_tables += 1
    return ledger


def read_refusals(pool: Path) -> pa.Table:
    """What landing did not take, as it stands (`REFUSALS`), in the tables' order; nothing of a pool nobody landed.

    A failure that passed later does not stand, nor what was said of an item's earlier version.
    """
    refused = [
        LANDED.empty_table(),
        *(table.filter(pc.not_equal(table["status"], "landed")) for table in _tables(pool)),
    ]
    rows = pa.concat_tables(refused).to_pylist()
    keys, ledger = pa.array({row["key"] for row in rows}, pa.string()), Ledger()
    for table in _tables(pool):
        for row in table.filter(pc.is_in(table["key"], keys)).to_pylist():
            ledger.add(row)
    standing = dict[tuple[str, int], dict[str, Any]]()
    for number, row in enumerate(rows):
        known = ledger.items.get(row["key"])
        if not _is_repeat(row) and known and known.fingerprint != row["fingerprint"]:
            continue
        if row["status"] != "failed":
            standing[row["key"], number] = row
        elif known and not known.is_complete:
            standing[row["key"], -1] = row  # it was asked again and again: the last answer stands
    return pa.Table.from_pylist([{**row, "source": pool.name} for row in standing.values()], REFUSALS)


def _tables(pool: Path) -> Iterator[pa.Table]:
    for file in sorted((pool / TABLES).glob("part-*.parquet")):
        yield read_table(file, LANDED)


def _is_repeat(row: dict[str, Any]) -> bool:
    """Whether a row says that the source lists an item again, which tells nothing of the item."""
    return row["reason"] == LISTED_TWICE and row["name"] == row["key"]
