"""How a stage's process ends: its exit code, one line for a person, and the report that it leaves for its executor."""

import errno
import json
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

EXIT_MISTAKE, EXIT_FAULT, EXIT_PREEMPTED, EXIT_STALLED = 1, 3, 75, 76
"""What a person can mend (data, parameters, disk); our fault or the machine's; stopped on request, with a checkpoint;
ended because it stood still. After the last two a run continues where it was."""


@dataclass(frozen=True)
class Report:
    """What one stage run leaves for its executor, as JSON in the run folder.

    `energy_j` is what its machine used meanwhile, in joules by kind, where that is counted (`flows.energy`);
    `ledger_seconds` is how long it worked for its record alone.
    """

    stage: str
    started_at: float
    seconds: float
    error: str = ""
    exit_code: int = 0
    work_seconds: float = 0.0
    mlflow_run_id: str = ""
    tracking_ref: str = ""
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    checkpoints: str = ""
    energy_j: dict[str, float] = field(default_factory=dict[str, float])
    ledger_seconds: float = 0.0


def report_file(run_dir: Path, stage: str) -> Path:
    """Where the report of `stage` lies."""
    return run_dir / f"{stage}.json"


def read_report(run_dir: Path, stage: str) -> Report | None:
    """The report that `stage` left in `run_dir`, if it ran there."""
    file = report_file(run_dir, stage)
    return Report(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def write_durably(file: Path, text: str) -> None:
    """Write `file` whole or not at all: temporary name, fsync, rename; what cannot be written leaves nothing behind.

    Raises:
        OSError: `file` is a folder, or the disk refuses.
    """
    if file.is_dir():
        raise IsADirectoryError(f"{file}: a folder; name a file in it")
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def explain(error: BaseException) -> tuple[str, int]:
    """One line for a person, and the exit code: whose it is to mend (a mistake: data, parameters, disk, permissions).

    An error with an `exit_code` of its own keeps it.
    """
    line = " ".join(str(error).split())
    if isinstance(code := getattr(error, "exit_code", None), int):
        return line, code
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk is full (writing {error.filename or 'an output'}); free some space and run again",
            EXIT_MISTAKE,
        )
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        where = f"cannot write {error.filename}: {error.strerror}"
        return f"{where}; make it writable or set another folder", EXIT_MISTAKE
    if isinstance(error, ValueError | OSError):
        return line, EXIT_MISTAKE
    return f"{type(error).__name__}: {line}", EXIT_FAULT


def remark(stage: str, line: str) -> None:
    """Say something about the running stage: on standard error, which is its log in a build, and in the display."""
    sys.stderr.write(f"{stage}: {line}\n")
    if folder := os.environ.get("EASEL_RUN_DIR"):
        with (Path(folder) / "events.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"stage": stage, "remark": line}) + "\n")


_heard_by: list[Callable[[str, int], None]] = []


@contextmanager
def hearing_last_words(leave: Callable[[str, int], None]) -> Generator[None]:
    """Inside the block, `last_words` are passed to `leave` (a line, and the exit code)."""
    _heard_by.append(leave)
    try:
        yield
    finally:
        _heard_by.pop()


def last_words(message: str, exit_code: int = EXIT_STALLED) -> None:
    """Leave `message` as how this process ended: for a thread that is about to end it without any exception."""
    if _heard_by:
        _heard_by[-1](message, exit_code)
