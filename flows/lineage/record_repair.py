"""What the ledger lacks of a workspace is appended later: stages that ran while it was away, or before there was one.

Runs any number of times to the same end: a stage whose fingerprint and outputs stand in a record is left alone. The
report that a stage left in its run folder is found again by the note of which build made what, or, where the executor
was killed before it had written that, as the newest one with the very figures that lie in the stage's metrics. A run
whose note says that it made something else (other inputs, other bytes) is never taken for the maker.
"""

import json
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components.lineage.record import Record
from flows import freshness, settings
from flows.console import remark
from flows.declaration import Stage
from flows.lineage.known_records import KnownRecords
from flows.lineage.ledger import open_ledger
from flows.lineage.model_signing import bring_back_signatures
from flows.lineage.record_keeping import append_record, circumstances, open_book, record_of
from flows.lineage.stage_records import OBSERVED, Circumstances
from flows.local import load_build, made_by_file
from flows.reports import Report, read_report


@dataclass(frozen=True)
class Appended:
    """A record that was missing, of a stage (or a model that was decided about).

    `is_observed` where nobody's report of the stage's run was found; `source` says where the record is from.
    """

    stage: str
    record: str
    is_observed: bool
    source: str

    @classmethod
    def of(cls, record: Record) -> "Appended":
        """How to tell of it."""
        is_observed = OBSERVED in record.notes
        if record.kind != "stage":
            source = f"{record.kind}, as MLflow keeps it"
        else:
            source = "observed: nobody's report of its run is left" if is_observed else "from the report of its run"
        return cls(record.subject, record.id, is_observed, source)


def unrecorded(root: Path, stages: Iterable[Stage]) -> list[Stage]:
    """Those that dvc.lock holds and of whose inputs, code and parameters no record tells.

    None of their files is read, and no key is needed.

    Raises:
        ValueError: the ledger cannot be read.
    """
    entries, known = freshness.lock_entries(root), KnownRecords().read(open_ledger(root))
    marks = {stage.name: freshness.fingerprint(entries[stage.name]) for stage in stages if stage.name in entries}
    return [stage for stage in stages if stage.name in marks and not known.of(marks[stage.name])]


def record_missing(root: Path, stages: Iterable[Stage]) -> Generator[Appended]:
    """Append a record of every one of these that dvc.lock holds and the ledger does not, in the order given.

    One whose inputs or outputs are no longer those that dvc.lock names is left out with a remark: nothing lies there
    any more that could be recorded of it.

    Raises:
        DamagedOutputError: a file is not what its record names.
        ValueError: an output is not there, or the ledger cannot be written.
    """
    entries = freshness.lock_entries(root)
    for stage in stages:
        if stage.name not in entries:
            continue
        entry = entries[stage.name]
        if record_id := record_of(root, stage, entry, open_book(root).read()):
            bring_back_signatures(root, open_book(root).ledger, stage.outputs.values(), record_id)
        elif changed := _changed_since(root, stage):
            role = "read" if changed in reads(stage) else "wrote"
            remark(
                f"{stage.name}: not recorded: {changed} is not what it {role} any more, by dvc.lock; "
                f"`easel run --until {stage.name}` makes it again"
            )
        else:
            yield Appended.of(append_record(root, stage.name, circumstances_of(root, stage, entry)))


def reads(stage: Stage) -> set[str]:
    """The paths that a stage reads, code aside."""
    return {artifact.path for artifact in stage.inputs.values()}


def _changed_since(root: Path, stage: Stage) -> str:
    """The first path that holds something else than dvc.lock says that the stage read or wrote; "" if none does."""
    for change in freshness.changes(stage.name, root):
        told: dict[str, dict[str, Any]] = change if isinstance(change, dict) else {}
        for path in [*told.get("changed deps", {}), *told.get("changed outs", {})]:
            if path in told.get("changed outs", {}) or path in reads(stage):
                return path
    return ""


def circumstances_of(root: Path, stage: Stage, entry: Mapping[str, Any]) -> Circumstances:
    """Where and when `stage` ran, as far as the run folders still tell; nothing where no run is known to have made it.

    A stage that `dvc repro` ran by hand left no report, and may have the very figures of a run before it.
    """
    named = _maker(root, entry)
    others = _busy_elsewhere(root, stage.name) - {named}
    folders = sorted((one.parent for one in settings.home(root).glob("runs/*/build.json")), reverse=True)
    for folder in sorted(folders, key=lambda folder: folder.name != named):
        report = read_report(folder, stage.name) if folder.name not in others else None
        if report and _wrote(root, stage, report, is_named=folder.name == named):
            return replace(circumstances(load_build(root, folder.name), report), is_late=True)
    return Circumstances()


def _maker(root: Path, entry: Mapping[str, Any]) -> str:
    """The build that made these very outputs, by the note it left; "" if none is known."""
    file = made_by_file(root, freshness.fingerprint(entry))
    if not file.is_file():
        return ""
    note, made = json.loads(file.read_text(encoding="utf-8")), freshness.output_hashes(entry)
    return note["build"] if note.get("outputs", made) == made else ""


def _busy_elsewhere(root: Path, stage: str) -> set[str]:
    """The builds whose run of `stage` is known to have made something, whatever it was."""
    notes = (json.loads(file.read_text(encoding="utf-8")) for file in made_by_file(root, "").parent.glob("*.json"))
    return {note["build"] for note in notes if note.get("stage") == stage}


def _wrote(root: Path, stage: Stage, report: Report, *, is_named: bool) -> bool:
    """Whether what lies there is of this run: by the note that names it, or by the time; and the figures are its own.

    DVC may write a file again when it commits, so there is no last moment to go by.
    """
    file = root / stage.metrics_path
    if report.error or not file.is_file() or json.loads(file.read_text(encoding="utf-8")) != report.metrics:
        return False
    return is_named or file.stat().st_mtime > report.started_at
