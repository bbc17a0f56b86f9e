"""Landing: what an external source holds is brought into a pool of the data folder, as raw parts, once.

A pool is `part-NNNNN.parquet` (`records.RAW`, bytes as received, bounded) and, for each part, a table of the same name
in `landed/` that says what the source gave for it: per item its key, its version, how many rows, whether it is
complete, and per refusal the reason. A part is written first, then its table; both whole or not at all, and never
again. So a landing that is killed loses nothing committed: the next one goes on behind the last table, and makes the
same parts as if nothing had happened. A larger source costs its listing and the new items.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.data.errors import DataError
from components.data.landing_ledger import LANDED, LISTED_TWICE, TABLES, Ledger, read_ledger
from components.data.readers.interface import Item, Outcome, Reader, Refusal, RefusedError, Sample
from components.data.records import RAW, write_table

_ORIGIN = "source.json"


@dataclass(frozen=True)
class PartLimits:
    """How large a raw part may grow."""

    max_rows: int = 4096
    max_bytes: int = 64_000_000


@dataclass
class Landing:
    """What one landing did; `counts` is rows and refusals of this landing by status and reason."""

    num_listed: int = 0
    num_known: int = 0
    num_changed: int = 0
    num_parts: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    first_refusal: Refusal | None = None

    def count(self, outcome: Outcome) -> None:
        """Count a sample or a refusal."""
        if isinstance(outcome, Refusal):
            self.counts[outcome.status, outcome.reason] += 1
            self.first_refusal = self.first_refusal or outcome
        else:
            self.counts["landed", ""] += 1

    @property
    def num_landed(self) -> int:
        """Images that are new in the pool."""
        return self.counts["landed", ""]


@dataclass
class _Step:
    """The part that is being filled, and what its table will say."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    table: list[dict[str, Any]] = field(default_factory=list)
    num_bytes: int = 0

    def is_full(self, outcome: Outcome, limits: PartLimits) -> bool:
        """Whether `outcome` must go into the next part."""
        if not isinstance(outcome, Sample) or not self.rows:
            return False
        return len(self.rows) >= limits.max_rows or self.num_bytes + len(outcome.image) > limits.max_bytes

    def add(self, item: Item, outcome: Outcome, source: str) -> None:
        """Take in a sample, or note a refusal."""
        if isinstance(outcome, Sample):
            self.rows.append(
                {"source_id": outcome.source_id, "source": source, "image": outcome.image, **outcome.words}
            )
            self.num_bytes += len(outcome.image)
            last = self.table[-1] if self.table else None
            if last and last["status"] == "landed" and last["key"] == item.key:
                last["num_outcomes"] += 1
            else:
                self.table.append(_row(item, "landed", 1))
        else:
            self.table.append(_row(item, outcome.status, int(outcome.status != "failed"), outcome))

    def complete(self, item: Item, digest: str) -> None:
        """Note that nothing more comes of `item`."""
        if not self.table or self.table[-1]["key"] != item.key:
            self.table.append(_row(item, "landed", 0))
        self.table[-1].update(is_complete=True, digest=digest)


def land(
    reader: Reader,
    pool: Path,
    *,
    origin: str,
    limits: PartLimits | None = None,
    force: bool = False,
    progress: Callable[[Landing], None] = lambda _: None,
) -> Landing:
    """Bring what is new in the source into the folder `pool`; `pool.name` is the rows' source.

    `origin` names the source: a pool takes from one only. `force` empties the pool first. `progress` is called after
    each item. DataError if another process lands here, the pool is of another origin or was not made by landing, or
    if nothing could be taken and the pool is empty.
    """
    limits = limits or PartLimits()
    with _claimed(pool, origin, force=force):
        ledger = read_ledger(pool)
        _sweep(pool, ledger.num_tables)
        landing, step = Landing(), _Step()
        for item, num_skipped, outcomes in _ahead(reader, _new_items(reader.listing(), ledger, landing)):
            known, digest, failure = ledger.items.get(item.key), _digest(outcomes), ""
            if known and digest and known.digest == digest:  # another time stamp on the same content
                step.complete(item, digest)
                landing.num_known += 1
                continue
            landing.num_changed += bool(known and known.fingerprint != item.fingerprint)
            for outcome in islice(outcomes, num_skipped, None):
                if step.is_full(outcome, limits):
                    step = _commit(pool, step, ledger, landing)
                landing.count(outcome)
                failure = outcome.reason if isinstance(outcome, Refusal) and outcome.status == "failed" else ""
                if not (failure and ledger.has_failed_so(item.key, failure)):
                    step.add(item, outcome, pool.name)
            if not failure:
                step.complete(item, digest)
            progress(landing)
        if step.table:
            _commit(pool, step, ledger, landing)
        _check_anything(pool, origin, landing)
        return landing


def _row(item: Item, status: str, num_outcomes: int, refusal: Refusal | None = None) -> dict[str, Any]:
    told = {"name": refusal.name, "reason": refusal.reason, "detail": refusal.detail} if refusal else {}
    return {
        "key": item.key,
        "fingerprint": item.fingerprint,
        "status": status,
        "num_outcomes": num_outcomes,
        "is_complete": False,
        "digest": "",
        **told,
    }


def _digest(outcomes: Iterator[Outcome] | Sequence[Outcome]) -> str:
    """SHA-256 of the only sample of an item that is at hand as a whole; else ""."""
    if not isinstance(outcomes, Sequence) or len(outcomes) != 1 or not isinstance(outcomes[0], Sample):
        return ""
    words = json.dumps(outcomes[0].words, sort_keys=True).encode()
    return hashlib.sha256(hashlib.sha256(words).digest() + outcomes[0].image).hexdigest()


def _new_items(listing: Iterable[Item], ledger: Ledger, landing: Landing) -> Iterator[tuple[Item, int, bool]]:
    """Items to read, how many of their outcomes are known, and whether the listing named them before."""
    seen: set[str] = set()
    for item in listing:
        landing.num_listed += 1
        known = ledger.items.get(item.key)
        if item.key in seen:
            if item.key not in ledger.repeats:
                ledger.repeats.add(item.key)
                yield item, 0, True
            continue
        seen.add(item.key)
        if known is None or known.fingerprint != item.fingerprint:
            yield item, 0, False
        elif known.is_complete:
            landing.num_known += 1
        else:
            yield item, known.num_outcomes, False


def _outcomes(reader: Reader, item: Item, *, is_repeat: bool) -> Iterator[Outcome]:
    """What the reader says of an item, its last word included."""
    if is_repeat:
        yield Refusal(item.key, LISTED_TWICE, "the source names it more than once", "repeated")
        return
    try:
        yield from reader.rows(item)
    except RefusedError as error:
        yield error.refusal


def _ahead(
    reader: Reader, items: Iterable[tuple[Item, int, bool]]
) -> Iterator[tuple[Item, int, Iterator[Outcome] | Sequence[Outcome]]]:
    """The items' outcomes in the items' order, some items read at once where the reader allows it."""
    if reader.num_at_once == 1:
        for item, num_skipped, is_repeat in items:
            yield item, num_skipped, _outcomes(reader, item, is_repeat=is_repeat)
        return
    waiting: deque[tuple[Item, int, Future[list[Outcome]]]] = deque()
    with ThreadPoolExecutor(reader.num_at_once) as threads:
        try:
            for item, num_skipped, is_repeat in items:
                read = threads.submit(lambda item=item, again=is_repeat: list(_outcomes(reader, item, is_repeat=again)))
                waiting.append((item, num_skipped, read))
                if len(waiting) >= 2 * reader.num_at_once:
                    first, skip, future = waiting.popleft()
                    yield first, skip, future.result()
            for first, skip, future in waiting:
                yield first, skip, future.result()
        finally:
            threads.shutdown(cancel_futures=True)


def _commit(pool: Path, step: _Step, ledger: Ledger, landing: Landing) -> _Step:
    """Write the part, then its table; returns the next, empty step."""
    name = f"part-{ledger.num_tables:05d}.parquet"
    if step.rows:
        _write_whole(pa.Table.from_pylist(step.rows, schema=RAW), pool / name)
        landing.num_parts += 1
    _write_whole(pa.Table.from_pylist(step.table, schema=LANDED), pool / TABLES / name)
    ledger.num_tables += 1
    return _Step()


def _write_whole(table: pa.Table, file: Path) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    write_table(table, temporary)
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(file)


def _sweep(pool: Path, num_tables: int) -> None:
    """Delete what a killed landing left: files half written, and a part whose table never came."""
    for file in [*pool.glob(".*"), *(pool / TABLES).glob(".*")]:
        file.unlink()
    (pool / f"part-{num_tables:05d}.parquet").unlink(missing_ok=True)


@contextmanager
def _claimed(pool: Path, origin: str, *, force: bool) -> Generator[None]:
    """The pool's folder for this process alone, made if there is none, and of this origin."""
    pool.mkdir(parents=True, exist_ok=True)
    handle = os.open(pool, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{pool}: another process lands here; wait for it to end and run again") from None
        _check_origin(pool, origin, force=force)
        yield
    finally:
        os.close(handle)


def _check_origin(pool: Path, origin: str, *, force: bool) -> None:
    file = pool / _ORIGIN
    is_empty = not any(not path.name.startswith(".") for path in pool.iterdir())
    if not is_empty and not file.exists():
        raise DataError(f"{pool}: was not made by landing; choose another --name")
    before = json.loads(file.read_text(encoding="utf-8"))["origin"] if file.exists() else origin
    if force:
        _empty(pool)
    elif before != origin:
        raise DataError(f"{pool}: was landed from {before}, not {origin}; choose another --name, or --force")
    temporary = pool / f".{_ORIGIN}"
    temporary.write_text(json.dumps({"origin": origin}) + "\n", encoding="utf-8")
    temporary.replace(file)


def _empty(pool: Path) -> None:
    for path in pool.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _check_anything(pool: Path, origin: str, landing: Landing) -> None:
    """DataError, and no pool left behind, if it holds no image."""
    if any(pool.glob("part-*.parquet")):
        return
    shutil.rmtree(pool)
    commonest = sorted(landing.counts.items(), key=lambda count: (-count[1], count[0]))[:3]
    reasons = ", ".join(f"{reason} {number}" for (_, reason), number in commonest)
    first = landing.first_refusal
    why = f"({reasons}; first: {first.name}: {first.detail})" if first else "(it lists nothing of this kind)"
    raise DataError(f"{origin}: none of the {landing.num_listed} items listed could be landed {why}")
