"""The one path that every stage run takes: by hand, under DVC, under Prefect.

Parameters in, stage function called, outputs renamed into place, metrics written, MLflow run opened and closed, report
left. Nothing here knows any particular stage. A killed stage leaves no output under its final name: everything is
written below a temporary folder on the same file system and renamed when complete.
"""

import errno
import fcntl
import hashlib
import json
import math
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml
from pydantic import BaseModel

from flows import settings
from flows.declaration import MADE_DIR, Stage
from flows.parameters import PARAMS_FILE, parse_block, read_blocks
from flows.workspace import git_state

EXIT_MISTAKE, EXIT_FAULT = 1, 3
"""What a person can mend (data, parameters, disk) and what is our fault or the machine's."""


class StageInputError(ValueError):
    """An input of a stage is not there; the message says what to do."""


@dataclass(frozen=True)
class Report:
    """What one stage run leaves for its executor, as JSON in the run folder."""

    stage: str
    started_at: float
    seconds: float
    error: str = ""
    is_mistake: bool = False
    work_seconds: float = 0.0
    mlflow_run_id: str = ""
    tracking_ref: str = ""
    metrics: dict[str, float] = field(default_factory=dict[str, float])


def report_file(run_dir: Path, stage: str) -> Path:
    """Where the report of `stage` lies."""
    return run_dir / f"{stage}.json"


def read_report(run_dir: Path, stage: str) -> Report | None:
    """The report that `stage` left in `run_dir`, if it ran there."""
    file = report_file(run_dir, stage)
    return Report(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def write_durably(file: Path, text: str) -> None:
    """Write `file` whole or not at all: temporary name, fsync, rename."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)


def die_with_parent(interval_s: float = 1.0) -> None:
    """End this process when its parent or its supervisor is gone.

    Killing `dvc repro` leaves its child running, and a second run would then write the same outputs beside the orphan.
    """
    parent, supervisor = os.getppid(), int(os.environ.get("EASEL_SUPERVISOR", "0"))

    def watch() -> None:
        while os.getppid() == parent and (not supervisor or psutil.pid_exists(supervisor)):
            time.sleep(interval_s)
        os._exit(EXIT_FAULT)

    threading.Thread(target=watch, daemon=True, name="die-with-parent").start()


@contextmanager
def stage_lock(root: Path, stage: str) -> Generator[None]:
    """Hold the stage's own lock, so that an orphan of a killed run and its successor never write together.

    An OS lock: it vanishes with the process that holds it, however that ends.
    """
    folder = root / MADE_DIR
    folder.mkdir(exist_ok=True)
    with (folder / f".{stage}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def check_inputs(stage: Stage, root: Path) -> None:
    """Refuse to start without every input.

    Raises:
        StageInputError: names the input that is not there and how to get it.
    """
    for role, artifact in stage.inputs.items():
        if not (root / artifact.path).exists():
            remedy = f"run `easel run --until {artifact.made_by}`" if artifact.made_by else "run `dvc pull`"
            raise StageInputError(f"{stage.name}: input {role} is missing: {artifact.path}; {remedy}")


def call(stage: Stage, params: BaseModel, root: Path) -> dict[str, float]:
    """Call the stage function on temporary outputs, then rename them into place; returns its metrics.

    Raises:
        ValueError: a metric that is not a finite number, or an output that the function did not make.
    """
    temporary = root / MADE_DIR / f".making-{stage.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        made = {role: temporary / role / Path(path).name for role, path in stage.outputs.items()}
        for path in made.values():
            path.parent.mkdir()
        metrics = asdict(stage.function(params, **{r: root / a.path for r, a in stage.inputs.items()}, **made))
        for name, value in metrics.items():
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{stage.name}: metric {name} is {value!r}; it must be a finite number")
        for role, path in made.items():
            if not path.exists():
                raise ValueError(f"{stage.name}: output {role} was not written")
        for role, path in made.items():
            move_into_place(path, root / stage.outputs[role])
        write_durably(root / stage.metrics_path, json.dumps(metrics, indent=2) + "\n")
        return metrics
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def move_into_place(made: Path, final: Path) -> None:
    """Flush `made` to disk and give it its final name, replacing what an earlier run left there."""
    for file in [made] if made.is_file() else sorted(p for p in made.rglob("*") if p.is_file()):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.is_dir():
        shutil.rmtree(final)
    elif final.exists():
        final.unlink()
    made.replace(final)


def explain(error: BaseException) -> tuple[str, bool]:
    """One line for a person, and whether the mistake is theirs to mend (data, parameters, disk, permissions)."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full (writing {error.filename or 'an output'}); free some space and run again", True
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"cannot write {error.filename}: {error.strerror}; make it writable or set another folder", True
    if isinstance(error, ValueError | OSError):
        return " ".join(str(error).split()), True
    return f"{type(error).__name__}: {' '.join(str(error).split())}", False


def code_digest(stage: Stage, root: Path) -> str:
    """SHA-256 over the code files (and the lock) that dvc.yaml lists for the stage."""
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    files = [root / path for path in stages[stage.name]["deps"] if path.endswith((".py", ".lock"))]
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def run_tracked(stage: Stage, params: BaseModel, root: Path) -> dict[str, Any]:
    """Call the stage inside its MLflow run; returns the fields of the report that only a finished call knows."""
    from components import tracking
    from components.data.part_store import open_store
    from components.registry.hashes import path_sha256

    with tracking.open_run(
        stage.name,
        **settings.tracking_store(root),
        spool=Path(os.environ["EASEL_SPOOL"]) if "EASEL_SPOOL" in os.environ else None,
        parent_run_id=os.environ.get("EASEL_PARENT_RUN"),
        tags={"easel.stage": stage.name, "easel.profile": settings.load_profile(root).name, **git_state(root).tags},
        on_progress=progress_writer(stage.name),
        system_metrics=True,
    ) as run:
        run.log_params(params.model_dump(mode="json"))
        for role, artifact in stage.inputs.items():
            run.log_input(role, artifact.path, path_sha256(root / artifact.path))
        started = time.monotonic()
        with open_store(settings.part_store(root), code_digest(stage, root)), on_data_engine():
            metrics = call(stage, params, root)
        work_seconds = time.monotonic() - started
        run.log_metrics({f"stage/{name}": value for name, value in metrics.items()}, step=0)
        run.flush()
        ids = {"mlflow_run_id": run.run_id, "tracking_ref": run.ref}
        return {"metrics": metrics, "work_seconds": work_seconds, **ids}


@contextmanager
def on_data_engine() -> Generator[None]:
    """Inside the block the data engine runs where the environment says; it is only imported where that is elsewhere."""
    if settings.data_engine() == "threads":
        yield
        return
    from components.data.engine import on_runner

    with on_runner("ray"):
        yield


def progress_writer(stage: str) -> Any:
    """A callback that appends each progress report to the run folder, at most ten a second; None outside a run."""
    folder = os.environ.get("EASEL_RUN_DIR")
    if not folder:
        return None
    stream = (Path(folder) / "events.jsonl").open("a", encoding="utf-8", buffering=1)
    last = 0.0

    def write(done: int, total: int, fields: dict[str, float]) -> None:
        nonlocal last
        if time.monotonic() - last > 0.1 or done >= total:
            last = time.monotonic()
            stream.write(json.dumps({"stage": stage, "done": done, "total": total, **fields}) + "\n")

    return write


def log_to(file: Path) -> None:
    """Send this process's standard output and error to `file`: the executor's display owns the terminal."""
    with file.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)


def run_stage(stage: Stage, root: Path) -> int:
    """Run one stage in this process; returns the exit code (0, or one of `EXIT_MISTAKE` and `EXIT_FAULT`)."""
    settings.go_quiet()
    die_with_parent()
    run_dir = os.environ.get("EASEL_RUN_DIR")
    if run_dir:
        log_to(Path(run_dir) / f"{stage.name}.log")
    started, clock, error, is_mistake = time.time(), time.monotonic(), "", False
    tracked = dict[str, Any]()
    try:
        params = parse_block(stage, read_blocks(root / PARAMS_FILE), Path(PARAMS_FILE))
        check_inputs(stage, root)
        with stage_lock(root, stage.name):
            tracked = run_tracked(stage, params, root)
    except Exception as caught:
        error, is_mistake = explain(caught)
        if run_dir or not is_mistake:  # in a run, standard error is the stage's log file
            traceback.print_exc()
        sys.stderr.write(f"{stage.name}: {error}\n")
    if run_dir:
        seconds = time.monotonic() - clock
        report = Report(stage.name, started, seconds, error, is_mistake, **tracked)
        write_durably(report_file(Path(run_dir), stage.name), json.dumps(asdict(report)) + "\n")
    return 0 if not error else EXIT_MISTAKE if is_mistake else EXIT_FAULT
