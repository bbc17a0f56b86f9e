"""The query index: tables and sample catalogue derived from a ledger, built when they are asked for.

Nothing here is a source: all of it may be deleted at any time, also while it is read, and is built again from records
and sample sets, with equal rows and byte-equal files. What was appended since is added to what is there.

    FILE.duckdb              the tables (`index_tables.py`) and how far the log was read
    FILE/catalogue-N.bin     the N samples that any set names (`catalogue.py`)
    FILE/sets/ROOT.roaring   the members of each set (`membership.py`)

A build is invisible until it is whole: the tables are copied, extended and renamed last. One process builds, others
wait for it; readers are never in its way.
"""

import fcntl
import shutil
import time
from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.lineage import index_tables as tables
from components.lineage.catalogue import Catalogue, CatalogueError, extend
from components.lineage.errors import LedgerError
from components.lineage.log import Ledger
from components.lineage.log_files import Entry
from components.lineage.manifest import first_fault
from components.lineage.membership import Membership, keep
from components.lineage.record import Record, SampleSet

if TYPE_CHECKING:
    import duckdb

_LOOK_S = 0.05
_CATALOGUES = "catalogue-*.bin"


@dataclass(frozen=True)
class _State:
    """How far the log was read, the leaf hash of the last entry that was, and the catalogue's name."""

    size: int
    leaf: str
    catalogue: str


class Index:
    """Answers from the index of `ledger` at `file`, which is brought up to date first.

    Args:
        wait_s: for how long to wait for another process that builds.

    Raises:
        LedgerError: another process builds for longer; or what the ledger holds is not what its records say.
    """

    def __init__(self, ledger: Ledger, file: Path, *, wait_s: float = 600.0) -> None:
        self._file, self._folder = file, file.with_suffix("")
        self._catalogue: Catalogue | None = None
        state = _state(file)
        if not (state and _is_current(ledger, state) and self._is_tidy(state) and self._load(state)):
            self._folder.joinpath("sets").mkdir(parents=True, exist_ok=True)
            with _building(self._folder / ".lock", wait_s):
                self._build(ledger)
        self._membership = Membership(self._folder / "sets")
        self._named = defaultdict[str, list[tuple[int, str, str]]](list)
        named = self.query("SELECT r.position, s.record, s.role, s.root FROM sets s JOIN records r ON r.id = s.record")
        for position, record, role, root in named:
            self._named[root].append((position, record, role))

    @property
    def num_samples(self) -> int:
        """How many samples any record names."""
        return len(self._catalogue) if self._catalogue else 0

    def sets_of(self, sample_id: str) -> list[tuple[str, str]]:
        """The record id and role of every set that the sample is in, oldest record first; exact."""
        row = self._catalogue.row_of(sample_id) if self._catalogue else None
        if row is None:
            return []
        seen = (root for root in self._named if self._membership.is_member(root, row))
        found = sorted((one for root in seen for one in self._named[root]), key=lambda one: one[0])
        return [(record, role) for _, record, role in found]

    def records(self) -> list[Record]:
        """All records in the log's order."""
        return _records(self.query("SELECT data FROM records ORDER BY position"))

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a question in SQL has for an answer; it cannot change anything."""
        with _opened(self._file) as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table."""
        with _opened(self._file) as connection:
            return tables.dump(connection)

    def _load(self, state: _State) -> bool:
        """Open the catalogue; False if it is gone, as when another process has just replaced it, or is cut off."""
        self._catalogue = None
        with suppress(CatalogueError):
            self._catalogue = Catalogue(self._folder / state.catalogue) if state.catalogue else None
            return True
        return False

    def _is_tidy(self, state: _State) -> bool:
        """Whether the last build also removed what its tables name no more."""
        return all(file.name == state.catalogue for file in self._folder.glob(_CATALOGUES))

    def _build(self, ledger: Ledger) -> None:
        """Bring the index up to date, from nothing where what is there does not fit; the caller holds the lock."""
        state, entries = _state(self._file), ledger.entries()
        fits = state and self._load(state) and _is_prefix(entries, state)
        if state and fits and state.size == len(entries):
            self._clean(state)
            return
        beside = self._file.with_name(f"{self._file.name}.new")
        for left in (beside, beside.with_name(f"{beside.name}.wal")):
            left.unlink(missing_ok=True)
        if state and fits:
            shutil.copyfile(self._file, beside)
        else:
            self._file.unlink(missing_ok=True)
        state = state if state and fits else _State(0, "", "")
        made = self._extend(ledger, beside, entries, state)
        beside.replace(self._file)
        self._load(made)
        self._clean(made)

    def _extend(self, ledger: Ledger, beside: Path, entries: Sequence[Entry], state: _State) -> _State:
        new = list(ledger.records(entries[state.size :]))
        with _opened(beside, is_new=not beside.exists(), to_write=True) as connection:
            named = connection.execute("SELECT DISTINCT root FROM sets").fetchall()
            known = _records(connection.execute("SELECT data FROM records ORDER BY position").fetchall())
            catalogue = self._add_sets(ledger, new, {root for (root,) in named}, state.catalogue)
            tables.add(connection, known, new)
            connection.execute("UPDATE state SET size = ?, catalogue = ?", [len(entries), catalogue])
        return _State(len(entries), entries[-1].leaf.hex() if entries else "", catalogue)

    def _add_sets(self, ledger: Ledger, new: Sequence[tuple[Entry, Record]], done: set[str], catalogue: str) -> str:
        """Number the samples of sets that no earlier record names; the catalogue's name afterwards."""
        for _, record in new:
            for one in record.samples.sets:
                if one.root in done:
                    continue
                packed = ledger.sample_set(one.root)
                if first_fault(packed, one.root):
                    fault = first_fault(packed, one.root, _others(ledger, [found for _, found in new], record, one))
                    raise LedgerError(
                        f"sets/{one.root}: not the set of {one.role} samples that record {record.id[:16]} "
                        f"({record.subject}) names: {fault}; `easel lineage check` says more"
                    )
                catalogue = self._add_set(one.root, packed, catalogue)
                done.add(one.root)
        return catalogue

    def _add_set(self, root: str, packed: bytes, catalogue: str) -> str:
        old = Catalogue(self._folder / catalogue) if catalogue else None
        beside = self._folder / ".catalogue.new"
        beside.unlink(missing_ok=True)
        keep(self._folder / "sets", root, extend(old, packed, beside))
        if not beside.exists():
            return catalogue
        name = f"catalogue-{len(Catalogue(beside))}.bin"
        beside.replace(self._folder / name)
        return name

    def _clean(self, state: _State) -> None:
        """Remove what no table names any more: bitmaps of another ledger, and earlier catalogues.

        Catalogues go last: one that is left tells that a killed process did not come to the end of this.
        """
        roots = {f"{root}.roaring" for (root,) in self.query("SELECT DISTINCT root FROM sets")}
        left = [file for file in (self._folder / "sets").iterdir() if file.name not in roots]
        left += [file for file in self._folder.glob(_CATALOGUES) if file.name != state.catalogue]
        for file in left:
            file.unlink(missing_ok=True)


@contextmanager
def _opened(file: Path, *, to_write: bool = False, is_new: bool = False) -> "Generator[duckdb.DuckDBPyConnection]":
    """A connection that is closed again at once, so that no other process is kept out."""
    import duckdb

    with duckdb.connect(str(file), read_only=not to_write) as connection:
        if is_new:
            tables.create(connection)
        yield connection


def _state(file: Path) -> _State | None:
    """How far the index is; None if there is none, or one of another version."""
    import duckdb

    if not file.is_file():
        return None
    with suppress(duckdb.Error, CatalogueError), _opened(file) as connection:
        found = connection.execute("SELECT version, size, catalogue FROM state").fetchone()
        if found and found[0] == tables.VERSION:
            last = connection.execute("SELECT leaf FROM records WHERE position = ?", [found[1] - 1]).fetchone()
            return _State(found[1], last[0] if last else "", found[2])
    return None


def _is_current(ledger: Ledger, state: _State) -> bool:
    head = ledger.head()
    return (head.size, head.last) == (state.size, state.leaf) if head else state.size == 0


def _is_prefix(entries: Sequence[Entry], state: _State) -> bool:
    """Whether the log still begins with what was read: an entry's leaf stands for all before it."""
    return state.size <= len(entries) and (not state.size or entries[state.size - 1].leaf.hex() == state.leaf)


def _others(ledger: Ledger, records: Sequence[Record], record: Record, wrong: SampleSet) -> list[bytes]:
    """Sets that should hold all members of a wrong one, for naming its row: of its record and those it stands on."""
    if wrong.role in ("received", "generated"):
        return []
    near = [record, *(one for one in records if one.id in record.parents)]
    roots = {one.root for found in near for one in found.samples.sets} - {wrong.root}
    return [packed for root in sorted(roots) if not first_fault(packed := ledger.sample_set(root), root)]


def _records(rows: Sequence[tuple[Any, ...]]) -> list[Record]:
    return [Record.model_validate_json(data) for (data,) in rows]


@contextmanager
def _building(lock: Path, wait_s: float) -> Generator[None]:
    """Be the one process that builds; a killed one's place is free at once."""
    until = time.monotonic() + wait_s
    with lock.open("w") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise LedgerError(
                        f"{lock.parent}: another process has been building the index for {wait_s:.0f} s; try again"
                    ) from None
                time.sleep(_LOOK_S)
        yield
