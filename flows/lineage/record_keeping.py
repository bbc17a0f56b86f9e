"""What an executor does for the ledger: keep a record of each stage that ran, refer to it where it did not run.

A ledger that is missing, full or closed never fails a stage: it is said in one remark, and `easel lineage record`
appends what is missing. What was not recorded cannot be promoted.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import tracking
from components.lineage.canonical import decimal
from components.lineage.record import Record
from flows import freshness
from flows.declaration import Stage
from flows.lineage.known_records import Known, KnownRecords
from flows.lineage.model_signing import bring_back_signatures, sign_or_remark
from flows.lineage.run_facts import people_facts
from flows.lineage.stage_records import Circumstances, iso, now, output_contents, sha256_of, stage_record
from flows.reports import Report, read_report
from flows.workspace import git

if TYPE_CHECKING:
    from components.lineage.log import Ledger
    from flows.local import Build

RECORDS_FILE, COSTS_FILE = "records.jsonl", "ledger-seconds.jsonl"
BUILD = "build"
"""Under this name a build itself is told of, beside its stages; its record cannot be made later."""


class DamagedOutputError(ValueError):
    """A stage's output has other bytes than its record names, although DVC calls them the same."""

    is_worth_retrying = False


@dataclass
class Book:
    """A ledger open for writing, and what is known of it."""

    ledger: "Ledger"
    known: KnownRecords = field(default_factory=KnownRecords)

    def read(self) -> KnownRecords:
        """What the ledger holds of stages now."""
        return self.known.read(self.ledger)


@cache
def _book(root: Path, place: str) -> Book:
    """One for each ledger that this process writes to: it is not read from its beginning for every stage."""
    from flows.lineage.ledger import open_ledger

    del place  # only distinguishes
    return Book(open_ledger(root, to_write=True))


def open_book(root: Path) -> Book:
    """The ledger of this workspace, to be written.

    Raises:
        ValueError: it cannot be; says why.
    """
    from flows.lineage.settings import ledger_place

    return _book(root, ledger_place(root))


def keep_record(build: "Build", stage: str, report: Report) -> None:
    """Append the record of `stage`, which ran in `build`, and tell its MLflow run; a remark if that cannot be."""

    def keep() -> None:
        record = append_record(build.root, stage, circumstances(build, report))
        note_record(build, stage, record.id, is_reference=False)
        tracking.annotate(build.spool, report.tracking_ref, {"easel.record": record.id})

    unless_it_fails(build, stage, keep)


def keep_reference(build: "Build", stage: str) -> None:
    """Refer to the record of what `stage` would have made again, and append it where there is none.

    That is of the run that made it, where its run folder still tells: the executor may have been killed between DVC's
    commit and the record. Else it is only observed.

    Raises:
        DamagedOutputError: what lies there is not what the record names.
    """

    def refer() -> None:
        from flows.lineage.record_repair import circumstances_of

        entry, declared = freshness.lock_entries(build.root)[stage], _declared(stage)
        known = open_book(build.root).read()
        record_id = record_of(build.root, declared, entry, known)
        if not record_id:
            record_id = append_record(build.root, stage, circumstances_of(build.root, declared, entry)).id
        bring_back_signatures(build.root, open_book(build.root).ledger, declared.outputs.values(), record_id)
        note_record(build, stage, record_id, is_reference=True)
        tracking.annotate(build.spool, build.parent, {f"easel.record.{stage}": record_id})

    unless_it_fails(build, stage, refer)


def append_record(root: Path, stage: str, seen: Circumstances) -> Record:
    """Append the record of what dvc.lock says of `stage` now, and return it; the one that there is, if it was kept.

    Raises:
        ValueError: there is no such ledger, or a file is not what dvc.lock says.
    """
    book, entry = open_book(root), freshness.lock_entries(root)[stage]
    known = book.read()
    if seen.report is not None:
        at = iso(seen.report.started_at)
        kept = [one for one in known.of(freshness.fingerprint(entry)) if one.started_at == at]
        if kept:
            return book.ledger.find(kept[-1].id)
    record, blobs = stage_record(root, _declared(stage), entry, known, seen)
    book.ledger.append(record, blobs)
    sign_or_remark(root, book.ledger, record)
    return record


def record_of(root: Path, stage: Stage, entry: Mapping[str, Any], known: KnownRecords) -> str:
    """Id of the newest record whose fingerprint and outputs are those that lie at `root`; "" if there is none.

    What is damaged in DVC's cache is removed from it, so that it comes back no second time.

    Raises:
        DamagedOutputError: an output has DVC's hash of a record, and other bytes.
    """
    mark, found = freshness.fingerprint(entry), dict[str, tuple[str, str]]()
    if known.of(mark):
        found = output_contents(root, stage, entry)
        if damaged := known.damaged(mark, found):
            freshness.drop_damaged(root, found[damaged][1])
            raise DamagedOutputError(
                f"{damaged}: not the bytes that the record of {stage.name} names (changed, or out of a damaged cache); "
                f"`easel run --only {stage.name} --force` makes it again"
            )
    return next((one.id for one in reversed(known.of(mark)) if _is_same(one, found)), "")


def _is_same(one: Known, found: Mapping[str, tuple[str, str]]) -> bool:
    return {path: sha256 for path, (sha256, _) in one.outputs.items()} == {p: s for p, (s, _) in found.items()}


def circumstances(build: "Build", report: Report) -> Circumstances:
    """What the executor of `build` knows of a stage's run."""
    return Circumstances(build.profile, build.executor, build.name, build.environment, report)


def keep_run(build: "Build", result: str) -> None:
    """Append the record of the whole build, which names those of its stages; none where no stage has one."""
    stages = noted_records(build.directory)
    if not stages:
        return

    def keep() -> None:
        record = Record(
            kind="run",
            subject=build.name,
            parents=tuple(dict.fromkeys(one["record"] for one in stages.values())),
            started_at=iso((build.directory / "build.json").stat().st_mtime),
            ended_at=now(),
            people=people_facts(),
            code={"commit": git(build.root, "rev-parse", "HEAD")},
            decision={
                "result": result,
                "profile": build.profile,
                "executor": build.executor,
                "stages": {stage: one["record"] for stage, one in stages.items()},
                "referenced": [stage for stage, one in stages.items() if one["is_reference"]],
                "dvc_lock": sha256_of(build.root / "dvc.lock"),
                "params": sha256_of(build.root / "params.yaml"),
                "ledger_seconds": decimal(round(seconds_spent(build.directory, build.stages), 3)),
            },
            systems={"build": build.name},
        )
        open_book(build.root).ledger.append(record)
        tracking.annotate(build.spool, build.parent, {"easel.record": record.id})

    unless_it_fails(build, BUILD, keep)


def note_record(build: "Build", stage: str, record_id: str, *, is_reference: bool) -> None:
    """Leave in the run folder which record belongs to a stage of this build."""
    with (build.directory / RECORDS_FILE).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"stage": stage, "record": record_id, "is_reference": is_reference}) + "\n")


def noted_records(directory: Path) -> dict[str, dict[str, Any]]:
    """What `note_record` left, by stage; the last word on each."""
    file = directory / RECORDS_FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return {one["stage"]: one for one in map(json.loads, lines)}


def seconds_spent(directory: Path, stages: Iterable[str]) -> float:
    """What a build spent on the ledger: its executor, and its stages' own processes, which waited for nothing else."""
    file = directory / COSTS_FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    reports = filter(None, (read_report(directory, stage) for stage in stages))
    return sum(json.loads(line)["seconds"] for line in lines) + sum(report.ledger_seconds for report in reports)


def unless_it_fails(build: "Build", stage: str, keep: Callable[[], None]) -> None:
    """Do it, and note how long it took; whatever goes wrong with the ledger is one remark: the stage itself is done."""
    started = time.monotonic()
    try:
        keep()
    except DamagedOutputError:
        raise
    except Exception as error:  # a store may fail in its own ways: a disk, a network, a server
        line = " ".join(str(error).split()) or type(error).__name__
        later = "its stages are recorded by themselves" if stage == BUILD else "`easel lineage record` appends it later"
        build.remark(stage, f"not recorded: {line}; {later}")
    finally:
        with suppress(OSError), (build.directory / COSTS_FILE).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"stage": stage, "seconds": round(time.monotonic() - started, 4)}) + "\n")


def _declared(stage: str) -> Stage:
    from flows.pipeline import PIPELINE

    return PIPELINE[stage]
