"""The reading half of the spool: a thread that replays the runs of one chain into MLflow while their stages work.

Each record is replayed once: the position reached is kept beside the records, so a recorder that died is continued by
the next one. A run whose writer died without an `end` is closed as KILLED.
"""

import fcntl
import json
import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.tracking.run import Point
from components.tracking.spool import RECORDS, RUN_ID

if TYPE_CHECKING:
    from components.tracking.store import MlflowBackend

POLL_S = 0.25
POSITION = "position"
DONE = "done"
LOCK = "recorder.lock"

logger = logging.getLogger(__name__)


class Recorder:
    """Replays every run folder of one spool into one MLflow experiment."""

    def __init__(self, spool: Path, *, uri: str, artifact_root: Path, experiment: str) -> None:
        self.spool = spool
        self.error: Exception | None = None
        self._where = {"uri": uri, "artifact_root": artifact_root, "experiment": experiment}
        self._open: dict[Path, _Replay] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tracking-recorder", daemon=True)

    def start(self) -> None:
        """Start replaying in the background; MLflow is imported there, beside the first stage's own start-up."""
        self._thread.start()

    def stop(self) -> None:
        """Replay what is left, close what its writer did not close, and wait for it."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            self.drain()
            self._stop.wait(POLL_S)
        self.drain()
        if self.error is None:
            self._for_each_run(lambda replay: replay.abandon())

    def drain(self) -> None:
        """Replay everything written so far, oldest run first (a parent before its children)."""
        for folder in sorted(self.spool.glob("spool-*")):
            if folder not in self._open:
                self._open[folder] = _Replay(folder, self._where)
        self._for_each_run(lambda replay: replay.advance())

    def _for_each_run(self, action: Callable[["_Replay"], None]) -> None:
        # A store that is down must not end the chain: the position stays where it was and the next round tries again.
        before, self.error = self.error, None
        for replay in self._open.values():
            try:
                action(replay)
            except Exception as error:
                self.error = error
        if self.error is not None and before is None:
            logger.warning("tracking store not reachable, keeping the records in %s: %s", self.spool, self.error)

    @property
    def is_complete(self) -> bool:
        """Whether every run of the spool was replayed to its end."""
        return all(replay.is_done and not replay.has_more for replay in self._open.values())


class _Replay:
    """One run folder and how far it was replayed."""

    def __init__(self, folder: Path, where: dict[str, Any]) -> None:
        self._folder = folder
        self._where = where
        self._backend: MlflowBackend | None = None
        self._monitor = ExitStack()
        position = folder / POSITION
        self._position = int(position.read_text()) if position.exists() else 0
        self.is_done = (folder / DONE).exists()

    @property
    def has_more(self) -> bool:
        """Whether records wait to be replayed; tags may follow the end of a run."""
        records = self._folder / RECORDS
        return records.exists() and records.stat().st_size > self._position

    def advance(self) -> None:
        """Replay the complete lines after the position."""
        if not self.has_more:
            return
        records = self._folder / RECORDS
        with records.open("rb") as file:
            file.seek(self._position)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # its writer is in the middle of it
                self._apply(json.loads(line))
                self._position += len(line)
                (self._folder / POSITION).write_text(str(self._position))

    def _apply(self, record: dict[str, Any]) -> None:
        if record["kind"] == "open":
            self._create(record)
            return
        backend = self._reached()
        match record["kind"]:
            case "points":
                backend.log_points([Point(*fields) for fields in record["points"]])
            case "params":
                backend.log_params(record["params"])
            case "tags":
                backend.set_tags(record["tags"])
            case "image":
                image_u8 = np.load(self._folder / record["file"], allow_pickle=False)
                backend.log_image(record["key"], image_u8, record["step"])
            case "input":
                backend.log_input(record["name"], record["path"], record["sha256"], record["context"])
            case "artifact":
                backend.log_artifact(self._folder / record["file"], record["folder"])
            case "end":
                self._end(backend, record["status"], record["time_ms"])
            case other:
                raise ValueError(f"unknown record {other!r} in {self._folder}")

    def _reached(self) -> "MlflowBackend":
        """The run in the store, created earlier by this recorder or by one that died."""
        from components.tracking import store

        if self._backend is None:
            identity = json.loads((self._folder / RUN_ID).read_text())
            self._backend = store.reopen_run(self._where["uri"], identity["run_id"])
        return self._backend

    def _create(self, record: dict[str, Any]) -> None:
        from components.tracking import store

        self._backend = store.create_run(
            record["name"],
            parent=self._real_id(record["parent"]),
            tags=record["tags"],
            start_ms=record["time_ms"],
            **self._where,
        )
        identity = {"run_id": self._backend.run_id, "url": self._backend.url}
        partial = self._folder / f"{RUN_ID}.partial"
        partial.write_text(json.dumps(identity))
        partial.replace(self._folder / RUN_ID)
        self._monitor.enter_context(store.monitored(self._backend, enabled=record["system_metrics"]))

    def _real_id(self, ref: str | None) -> str | None:
        """MLflow's id for a reference that may be a folder of this spool."""
        identity = self._folder.parent / (ref or "") / RUN_ID
        return json.loads(identity.read_text())["run_id"] if ref and identity.exists() else ref

    def _end(self, backend: "MlflowBackend", status: str, time_ms: int) -> None:
        self._monitor.close()
        backend.end(status, time_ms)
        self.is_done = True
        (self._folder / DONE).touch()  # a recorder that adopts this spool must not close the run again

    def abandon(self) -> None:
        """Close the run as KILLED if its writer left without an end (a half-written last line counts as none)."""
        if not self.is_done and (self._folder / RUN_ID).exists():
            self._end(self._reached(), "KILLED", int(time.time() * 1000))


@contextmanager
def recording(root: Path, *, uri: str, artifact_root: Path, experiment: str) -> Generator[Recorder]:
    """A recorder with a new spool below `root`, drained at the end; also finishes what a dead recorder left there."""
    where: dict[str, Any] = {"uri": uri, "artifact_root": artifact_root, "experiment": experiment}
    spool = root / uuid.uuid4().hex
    spool.mkdir(parents=True)
    with (spool / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        recorder = Recorder(spool, **where)
        recorder.start()
        try:
            yield recorder
        finally:
            recorder.stop()
            _finish_left_over(root, spool, where)
    if recorder.is_complete:
        shutil.rmtree(spool)


def _finish_left_over(root: Path, own: Path, where: dict[str, Any]) -> None:
    """Replay the spools of recorders that no longer live: their lock is free."""
    for spool in sorted(root.iterdir()):
        if spool == own or not (spool / LOCK).exists():
            continue
        with suppress(BlockingIOError), (spool / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left_over = Recorder(spool, **where)
            left_over.start()
            left_over.stop()
            if left_over.is_complete:
                shutil.rmtree(spool)
