"""Accepting a change of code that alters no result: the stage counts as made by the new code, and is not run again.

Only a person can know that, so it is written down: a record with the old and the new code, the reason, and who said
so. Inputs, parameters, libraries and outputs must be those that the stage was made with.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.lineage.canonical import digest
from components.lineage.record import Record
from flows import freshness
from flows.declaration import Stage
from flows.lineage.record_keeping import open_book, record_of
from flows.lineage.run_facts import LOCK_FILE, Code, code_facts
from flows.lineage.stage_records import now
from flows.local import made_by_file
from flows.promote import person
from flows.workspace import git


class AcceptanceError(ValueError):
    """A stage whose change cannot be accepted; one line says why and what to do."""


@dataclass(frozen=True)
class Change:
    """What would be accepted: the code files that changed, and how, since `commit` ("" where that is not known)."""

    stage: str
    files: tuple[str, ...]
    commit: str
    diff: str


def code_change(root: Path, stage: Stage) -> Change:
    """The change of code that makes `stage` stale.

    Raises:
        AcceptanceError: it was never made, it is fresh, something else than code changed, or no record tells how it
            was made (then the new code would pass for what made it).
        DamagedOutputError: an output is not what its record names.
    """
    entry = freshness.lock_entries(root).get(stage.name)
    if entry is None:
        raise AcceptanceError(f"{stage.name} was never run; `easel run --until {stage.name}` makes it")
    files = _changed_code(stage, freshness.changes(stage.name, root))
    if not files:
        raise AcceptanceError(f"{stage.name} is fresh: there is nothing to accept")
    commit = _known_commit(root, _made(root, stage, entry).code.get("commit", ""))
    base = commit or git(root, "rev-parse", "HEAD")
    return Change(stage.name, files, commit, git(root, "diff", "--no-color", base, "--", *files))


def accept(root: Path, stage: Stage, change: Change, *, reason: str, by: str = "") -> Record:
    """Append the record that `stage` counts as made by the code that is there now, and have DVC take it so.

    In this order, since DVC tells nobody why it takes a stage as fresh. Killed in between, the stage is still stale.

    Raises:
        ValueError: as `code_change`, or the reason is empty, or the ledger cannot be written (then nothing changed).
    """
    from components.registry.decisions import said

    reason, by = said(reason, "reason"), person(by)
    book, started_at = open_book(root), now()
    before, after = freshness.lock_entries(root)[stage.name], freshness.entry_if_committed(stage.name, root)
    if code_change(root, stage).files != change.files:
        raise AcceptanceError(f"{stage.name}: the code changed again meanwhile; look at it and accept once more")
    made = _made(root, stage, before)
    code = code_facts(root, after["cmd"], _code_hashes(stage, after))
    record = _record(stage, code, (before, after), made, started_at, {"approved_by": by, "reason": reason})
    book.ledger.append(record, {f"patches/{code.facts['patch']}": code.patch} if code.patch else {})
    note = made_by_file(root, freshness.fingerprint(before))
    if note.is_file():
        shutil.copyfile(note, made_by_file(root, freshness.fingerprint(after)))
    freshness.commit(stage.name, root)
    if freshness.lock_entries(root)[stage.name] != after:
        raise AcceptanceError(f"{stage.name}: it changed while it was accepted; run it again")
    return record


def _record(
    stage: Stage,
    code: Code,
    entries: tuple[Mapping[str, Any], Mapping[str, Any]],
    made: Record,
    started_at: str,
    people: dict[str, str],
) -> Record:
    before, after = entries
    hashes = {"before": _code_hashes(stage, before), "after": _code_hashes(stage, after)}
    changed = sorted(path for path, _ in hashes["before"].items() ^ hashes["after"].items())
    return Record(
        kind="accept",
        subject=stage.name,
        fingerprint=freshness.fingerprint(after),
        parents=(made.id,),
        started_at=started_at,
        ended_at=now(),
        people=people,
        code=code.facts,
        decision={
            "result": "accepted",
            "stage": stage.name,
            "fingerprint_before": freshness.fingerprint(before),
            "files": sorted(set(changed)),
            "code_before": {"md5": hashes["before"], "digest": digest(hashes["before"])},
            "code_after": {"md5": hashes["after"], "digest": digest(hashes["after"])},
        },
        is_promotable=not code.patch,
        notes=("not promotable: the accepted code differs from the commit; the patch is kept",) if code.patch else (),
    )


def _changed_code(stage: Stage, changes: Sequence[Any]) -> tuple[str, ...]:
    """The code files that changed; AcceptanceError names whatever else did."""
    read, found = {artifact.path for artifact in stage.inputs.values()}, list[str]()
    for change in changes:
        told: dict[str, Any] = change if isinstance(change, dict) else {}
        for path, state in told.get("changed deps", {}).items():
            if path in read or path == LOCK_FILE or isinstance(state, dict) or not path.endswith(".py"):
                raise AcceptanceError(
                    f"{stage.name}: {path} {'changed' if isinstance(state, dict) else state}, and that is not code; "
                    f"only a change of code can be accepted. `easel run --only {stage.name}` runs it again"
                )
            found.append(path)
        for path, state in told.get("changed outs", {}).items():
            raise AcceptanceError(
                f"{stage.name}: its output {path} is {state}; `easel run --only {stage.name}` makes it again"
            )
        if not told:
            raise AcceptanceError(f"{stage.name}: {change}; only a change of code can be accepted")
    return tuple(sorted(found))


def _made(root: Path, stage: Stage, entry: Mapping[str, Any]) -> Record:
    """The record of what lies there.

    Raises:
        AcceptanceError: there is none.
    """
    book = open_book(root)
    found = record_of(root, stage, entry, book.read())
    if not found:
        raise AcceptanceError(
            f"{stage.name}: no record in the ledger tells how it was made; undo the change, "
            "run `easel lineage record`, and accept after that"
        )
    return book.ledger.find(found)


def _known_commit(root: Path, commit: str) -> str:
    """The commit, if this repository has it."""
    return commit if commit and git(root, "cat-file", "-t", commit) == "commit" else ""


def _code_hashes(stage: Stage, entry: Mapping[str, Any]) -> dict[str, str]:
    read = {artifact.path for artifact in stage.inputs.values()}
    return {one["path"]: one["md5"] for one in entry.get("deps", ()) if one["path"] not in read}
