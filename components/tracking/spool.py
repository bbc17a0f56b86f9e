"""The writing half of the spool: a run as a folder of JSON lines, written without MLflow and read by `recorder`.

Importing MLflow and opening its store costs 3 to 6 s of CPU per process on a small machine. A chain of stages, each a
process of its own, pays that once: the stages append to the spool, and the process that started them (the recorder)
replays it into MLflow while they work. A store that is down therefore never holds up or loses a stage.
"""

import json
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.tracking.run import Point

RECORDS = "records.jsonl"
RUN_ID = "run.json"
WAIT_FOR_ID_S = 30.0


def append_record(run_dir: Path, kind: str, **fields: Any) -> None:
    """Append one line to a run's records; a single short write, so that two writers do not mix their lines."""
    line = json.dumps({"kind": kind, "time_ms": int(time.time() * 1000), **fields}, ensure_ascii=False)
    with (run_dir / RECORDS).open("a", encoding="utf-8") as records:
        records.write(line + "\n")


class SpoolBackend:
    """One run as a folder below the spool; see `components.tracking.run.Backend` for the methods."""

    def __init__(self, spool: Path, ref: str, uri: str) -> None:
        self.uri, self.ref = uri, ref
        self._dir = spool / ref

    @classmethod
    def opened(
        cls, spool: Path, name: str, *, uri: str, parent: str | None, tags: Mapping[str, str], system_metrics: bool
    ) -> "SpoolBackend":
        """A new run."""
        backend = cls(spool, f"spool-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}", uri)
        backend._dir.mkdir(parents=True)
        backend._append(
            "open", name=name, parent=parent, tags=dict(tags), system_metrics=system_metrics, pid=os.getpid()
        )
        return backend

    def _append(self, kind: str, **fields: Any) -> None:
        append_record(self._dir, kind, **fields)

    def _new_file(self, name: str) -> Path:
        folder = self._dir / "files" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return folder / name

    def _identity(self) -> dict[str, str]:
        """What the recorder wrote once the run exists; waits at most 30 s: tracking must not stop work."""
        deadline_s = time.monotonic() + WAIT_FOR_ID_S
        while not (self._dir / RUN_ID).exists() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        return json.loads((self._dir / RUN_ID).read_text()) if (self._dir / RUN_ID).exists() else {}

    @property
    def run_id(self) -> str:
        """MLflow's id of the run, "" if the recorder has not created it within 30 s."""
        return self._identity().get("run_id", "")

    @property
    def url(self) -> str:
        """Where the run is shown, "" if not known yet."""
        return self._identity().get("url", "")

    def log_points(self, points: list[Point]) -> None:
        """Append metric points."""
        self._append("points", points=[[p.key, p.value, p.step, p.timestamp_ms] for p in points])

    def log_params(self, params: dict[str, str]) -> None:
        """Append parameters."""
        self._append("params", params=params)

    def set_tags(self, tags: dict[str, str]) -> None:
        """Append tags."""
        self._append("tags", tags=tags)

    def log_image(self, key: str, image_u8: np.ndarray, step: int) -> None:
        """Keep the pixels in a file of the spool."""
        file = self._new_file("image.npy")
        np.save(file, image_u8, allow_pickle=False)
        self._append("image", key=key, step=step, file=str(file.relative_to(self._dir)))

    def log_input(self, name: str, path: str, sha256: str, context: str) -> None:
        """Append a data set."""
        self._append("input", name=name, path=path, sha256=sha256, context=context)

    def log_artifact(self, path: Path, folder: str | None) -> None:
        """Copy the file or directory into the spool: the original may be renamed before the recorder gets to it."""
        file = self._new_file(path.name)
        if path.is_dir():
            shutil.copytree(path, file)
        else:
            shutil.copyfile(path, file)
        self._append("artifact", file=str(file.relative_to(self._dir)), folder=folder)

    def end(self, status: str) -> None:
        """Append the last record."""
        self._append("end", status=status)
