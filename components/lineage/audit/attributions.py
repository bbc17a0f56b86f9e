"""Whose images a set holds: counts of a catalogue's rows by licence, creator, attribution, source or domain.

A catalogue is a Parquet table with a row for every sample (`sample_id` in hexadecimal). DuckDB reads it in a stream and
keeps only the groups and the members; what memory does not hold goes to a temporary folder.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from components.lineage.audit.document import AuditError

if TYPE_CHECKING:
    import duckdb

ID_BYTES = 32
MEMORY = "1GB"
COLUMNS = {
    "source": "source",
    "licence": "licence",
    "creator": "creator",
    "attribution": "attribution",
    "domain": r"regexp_extract(source_id, '^https?://([^/:?#]+)', 1)",
}
"""What rows may be counted by, and how it is computed; the domain is that of a `source_id` that is an address."""


class Attributions:
    """The members of some packed sets (sorted 32-byte ids), and the catalogues that describe them."""

    def __init__(self, tables: Sequence[Path], packed: Iterable[bytes]) -> None:
        self._tables = [str(table) for table in tables]
        self._packed = tuple(packed)

    def count(self) -> int:
        """How many different samples there are in the sets."""
        with _Database(self._packed) as db:
            return _number(db.execute("SELECT count(*) FROM members"))

    def unlisted(self) -> int:
        """How many of them no catalogue names.

        Raises:
            AuditError: a catalogue without ids.
        """
        with _Database(self._packed) as db:
            for table in self._tables:
                _asked(db, f"DELETE FROM members WHERE id IN (SELECT unhex(sample_id) FROM {_ROWS})", table)
            return _number(db.execute("SELECT count(*) FROM members"))

    def tally(self, by: Sequence[str]) -> Counter[tuple[str, ...]]:
        """The number of members by the values of the columns `by`; a value that is missing is "".

        A sample that two catalogues name counts once, with the words of the first.

        Raises:
            AuditError: a column that rows cannot be counted by, or a catalogue without it.
        """
        if unknown := [name for name in by if name not in COLUMNS]:
            raise AuditError(f"images are not counted by {unknown[0]}; allowed: {', '.join(COLUMNS)}")
        wanted = ", ".join(f"coalesce(CAST({COLUMNS[name]} AS VARCHAR), '') AS {name}" for name in by)
        query = f"""SELECT {", ".join(by)}, count(*) FROM (SELECT unhex(sample_id) AS id, {wanted} FROM {_ROWS})
            SEMI JOIN members USING (id) GROUP BY ALL"""
        counts = Counter[tuple[str, ...]]()
        with _Database(self._packed) as db:
            for table in self._tables:
                counts.update({tuple(row[:-1]): row[-1] for row in _asked(db, query, table)})
                if table is self._tables[-1]:
                    break
                _asked(db, f"DELETE FROM members WHERE id IN (SELECT unhex(sample_id) FROM {_ROWS})", table)
        return counts


class _Database:
    """A database of its own whose table `members` holds the different ids of packed sets; gone with the block."""

    def __init__(self, packed: Sequence[bytes]) -> None:
        self._packed = packed

    def __enter__(self) -> "duckdb.DuckDBPyConnection":
        import duckdb
        import pyarrow as pa

        self._folder = TemporaryDirectory()
        self._db = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": self._folder.name})
        self._db.execute("SET preserve_insertion_order = false")
        self._db.execute("CREATE TABLE members (id BLOB)")
        for data in dict.fromkeys(self._packed):
            ids = pa.Array.from_buffers(pa.binary(ID_BYTES), len(data) // ID_BYTES, [None, pa.py_buffer(data)])
            self._db.register("part", pa.table({"id": ids}))
            known = "WHERE id NOT IN (SELECT id FROM members)" if data is not self._packed[0] else ""
            self._db.execute(f"INSERT INTO members SELECT id FROM part {known}")
            self._db.unregister("part")
        return self._db

    def __exit__(self, *_: object) -> None:
        self._db.close()
        self._folder.cleanup()


_ROWS = "read_parquet(?)"


def _asked(db: "duckdb.DuckDBPyConnection", query: str, table: str) -> list[tuple[Any, ...]]:
    """What a query about one catalogue answers; AuditError if that is none."""
    import duckdb

    try:
        return db.execute(query, [table]).fetchall()
    except (duckdb.BinderException, duckdb.ConversionException, duckdb.InvalidInputException) as error:
        raise AuditError(f"{table}: {str(error).splitlines()[0]}") from None


def _number(found: "duckdb.DuckDBPyConnection") -> int:
    row = found.fetchone()
    return int(row[0]) if row else 0
