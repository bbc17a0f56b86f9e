"""What every process of a stage does: end with its parent, log where it is told, open what a function finds open."""

import json
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from components.training.checkpoint_store import open_checkpoints
from flows import settings
from flows.checkpoints import store_of
from flows.reports import EXIT_FAULT


def die_with_parent(interval_s: float = 1.0) -> None:
    """End this process when its parent or its supervisor is gone.

    Killing `dvc repro` leaves its child running, and a second run would then write the same outputs beside the orphan.
    """
    parent, supervisor = os.getppid(), os.environ.get("EASEL_SUPERVISOR")
    try:
        above = [psutil.Process(int(pid)) for pid in (parent, supervisor) if pid]
    except psutil.NoSuchProcess:
        os._exit(EXIT_FAULT)

    def watch() -> None:
        while os.getppid() == parent and all(is_at_work(process) for process in above):
            time.sleep(interval_s)
        os._exit(EXIT_FAULT)

    threading.Thread(target=watch, daemon=True, name="die-with-parent").start()


def is_at_work(process: psutil.Process) -> bool:
    """Whether that very process still runs: no other with its number, and not dead while its parent has yet to ask."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def log_to(file: Path) -> None:
    """Send this process's standard output and error to `file`: the executor's display owns the terminal."""
    with file.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)


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


@contextmanager
def at_work(identity: dict[str, Any], root: Path) -> Generator[None]:
    """Inside the block the stage of that identity finds its finished parts, its checkpoints and the data engine."""
    from components.data.part_store import open_store

    parts = open_store(settings.part_store(root), identity["code"])
    with parts, open_checkpoints(store_of(identity, root)), on_data_engine():
        yield


@contextmanager
def on_data_engine() -> Generator[None]:
    """Inside the block the data engine runs where the environment says; it is only imported where that is elsewhere."""
    if settings.data_engine() == "threads":
        yield
        return
    from components.data.engine import on_runner

    with on_runner("ray"):
        yield
