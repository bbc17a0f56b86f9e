"""Opening and closing runs: one parent per chain, one child per executed stage.

A run ends FINISHED, FAILED (an exception) or KILLED (Ctrl-C, SIGTERM, or an exception whose `exit_code` asks to be run
again). What SIGKILL leaves behind as RUNNING is
settled by the recorder that adopts its spool, since a dead process cannot do it.
"""

import os
import signal
import threading
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from components.tracking.names import clean_tags
from components.tracking.run import Backend, ProgressCallback, Run, pop, push
from components.tracking.spool import SpoolBackend, append_record


class Terminated(SystemExit):
    """SIGTERM arrived while a run was open; leaves with the shell's code for it, 143."""


def annotate(spool: Path, ref: str, tags: Mapping[str, Any]) -> None:
    """Set tags on a spooled run, open or ended, such as hashes that are known only after its outputs were committed."""
    append_record(spool / ref, "tags", tags=clean_tags(tags))


@contextmanager
def open_run(
    name: str,
    *,
    uri: str,
    artifact_root: Path,
    experiment: str,
    parent_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    on_progress: ProgressCallback | None = None,
    system_metrics: bool = False,
    spool: Path | None = None,
) -> Generator[Run]:
    """A new run that is `current_run()` inside the block and is closed with the right status at its end.

    `uri` is an MLflow tracking URI (`sqlite:////absolute/path.db` or a server); `artifact_root` is used only when the
    experiment does not exist yet and the store is a local file. `on_progress(done, total, fields)` gets what the stage
    reports. With `system_metrics`, CPU, memory and disk are sampled every 5 s. With `spool` (the `spool` folder of a
    `recording` in a process that outlives this one) MLflow is not even imported here: the recorder writes to it.
    """
    with ExitStack() as resources:
        clean = clean_tags(tags or {})
        backend: Backend
        if spool is not None:
            backend = SpoolBackend.opened(
                spool, name, uri=uri, parent=parent_run_id, tags=clean, system_metrics=system_metrics
            )
        else:
            from components.tracking.store import create_run, monitored  # seconds to import: only who opens a run pays

            backend = create_run(
                name, uri=uri, artifact_root=artifact_root, experiment=experiment, parent=parent_run_id, tags=clean
            )
            resources.enter_context(monitored(backend, enabled=system_metrics))
        resources.enter_context(_ended(backend, run := Run(backend, on_progress)))
        yield run


@contextmanager
def join_run(spool: Path, ref: str, uri: str, on_progress: ProgressCallback | None = None) -> Generator[Run]:
    """The run that another process opened through `spool` is `current_run()` inside the block; that process ends it."""
    push(run := Run(SpoolBackend(spool, ref, uri), on_progress))
    try:
        yield run
    finally:
        pop()
        run.flush()


@contextmanager
def _ended(backend: Backend, run: Run) -> Generator[None]:
    """`run` is the current one inside the block; afterwards it is flushed and closed with the status it deserves."""
    push(run)
    status = "FAILED"
    try:
        with _sigterm_as_exception():
            yield
        status = "FINISHED"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | Terminated) or getattr(error, "exit_code", None) == os.EX_TEMPFAIL:
            status = "KILLED"
        raise
    finally:
        pop()
        try:
            run.flush()
        finally:
            backend.end(status)


@contextmanager
def _sigterm_as_exception() -> Generator[None]:
    """Inside the block SIGTERM raises `Terminated`, so that `finally` blocks run; in other threads nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _raise_terminated(signum: int, frame: FrameType | None) -> NoReturn:
    raise Terminated(128 + signum)
