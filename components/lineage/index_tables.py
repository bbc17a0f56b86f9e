"""The tables of the query index, for SQL: records, their items, edges, sample sets and decisions.

records     one row a record: position in the log, id, kind, subject, times, and the whole record as JSON (`data`)
items       what records read and wrote (`direction` is `input` or `output`)
edges       which record stands on which
sets        which sample sets a record names, by role and Merkle root
decisions   promotions, rollbacks, takedowns, acceptances, overrides
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.lineage.graph import Graph
from components.lineage.log_files import Entry
from components.lineage.record import Item, Record

if TYPE_CHECKING:
    import duckdb

TABLES: Mapping[str, str] = {
    "records": "position BIGINT, id VARCHAR, kind VARCHAR, subject VARCHAR, fingerprint VARCHAR, attempt BIGINT, "
    "started_at VARCHAR, ended_at VARCHAR, appended_at VARCHAR, is_promotable BOOLEAN, leaf VARCHAR, data VARCHAR",
    "items": "record VARCHAR, direction VARCHAR, role VARCHAR, path VARCHAR, sha256 VARCHAR, size BIGINT, "
    "count BIGINT, dvc VARCHAR, made_by VARCHAR, licences VARCHAR",
    "edges": "child VARCHAR, parent VARCHAR",
    "sets": "record VARCHAR, role VARCHAR, root VARCHAR, count BIGINT",
    "decisions": "record VARCHAR, kind VARCHAR, subject VARCHAR, decided_at VARCHAR, decision VARCHAR, people VARCHAR",
}
STATE = "version BIGINT, size BIGINT, catalogue VARCHAR"
VERSION = 1


def create(connection: "duckdb.DuckDBPyConnection") -> None:
    """Make the empty tables."""
    for name, columns in {**TABLES, "state": STATE}.items():
        connection.execute(f"CREATE TABLE {name} ({columns})")
    connection.execute("INSERT INTO state VALUES (?, 0, '')", [VERSION])


def add(connection: "duckdb.DuckDBPyConnection", known: Sequence[Record], new: Sequence[tuple[Entry, Record]]) -> None:
    """Append the rows of `new`, which follow `known` in the log."""
    graph = Graph([*known, *(record for _, record in new)])
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
    for entry, record in new:
        one = entry.record_id
        rows["records"].append(_record_row(entry, record))
        rows["items"] += [(one, "input", *_item_row(item)) for item in record.inputs]
        rows["items"] += [(one, "output", *_item_row(item)) for item in record.outputs]
        rows["edges"] += [(one, parent) for parent in graph.parents(one)]
        rows["sets"] += [(one, found.role, found.root, found.count) for found in record.samples.sets]
        if record.kind not in ("stage", "run"):
            told = json.dumps(record.decision), json.dumps(record.people)
            rows["decisions"].append((one, record.kind, record.subject, record.ended_at, *told))
    for name, found in rows.items():
        _insert(connection, name, found)


def dump(connection: "duckdb.DuckDBPyConnection") -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, in the order in which they were written."""
    names = [*TABLES, "state"]
    return {name: connection.execute(f"SELECT * FROM {name} ORDER BY rowid").fetchall() for name in names}


def _record_row(entry: Entry, record: Record) -> tuple[Any, ...]:
    who = (entry.index, entry.record_id, record.kind, record.subject, record.fingerprint, record.attempt)
    when = (record.started_at, record.ended_at, entry.appended_at)
    return (*who, *when, record.is_promotable, entry.leaf.hex(), record.data.decode())


def _item_row(item: Item) -> tuple[Any, ...]:
    what = (item.role, item.path, item.sha256, item.size, item.count, item.dvc, item.made_by)
    return (*what, json.dumps(item.licences))


def _insert(connection: "duckdb.DuckDBPyConnection", table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """All rows at once: row by row takes DuckDB a millisecond each."""
    if not rows:
        return
    import pyarrow as pa

    columns = [column.split()[0] for column in TABLES[table].split(", ")]
    fresh = pa.table({name: list(values) for name, values in zip(columns, zip(*rows, strict=True), strict=True)})
    connection.register("fresh", fresh)
    connection.execute(f"INSERT INTO {table} SELECT * FROM fresh")
    connection.unregister("fresh")
