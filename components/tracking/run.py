"""The run a stage logs to: metric points are buffered and sent in batches, everything else passes straight through.

One call per metric costs tens of milliseconds, so points wait until there are 500 of them, 5 s have passed, or the run
ends. Only rank 0 holds a run; elsewhere `current_run()` is a `NullRun`.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from components.tracking.names import checked_artifact_path, clean_tags, finite_only, flatten, safe_name

FLUSH_POINTS = 500
FLUSH_AFTER_S = 5.0
WARNING_TAG = "easel.warning"

ProgressCallback = Callable[[int, int, dict[str, Any]], None]


@dataclass(frozen=True)
class Point:
    """One metric value at one step, with the time it was measured."""

    key: str
    value: float
    step: int
    timestamp_ms: int


class Backend(Protocol):
    """Where a run's records go; straight to MLflow (`store`) or through a folder (`spool`)."""

    uri: str

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""
        ...

    @property
    def ref(self) -> str:
        """What a child names as its parent: the run id, or the spool's name for it."""
        ...

    @property
    def url(self) -> str:
        """Where the run is shown."""
        ...

    def log_points(self, points: list[Point]) -> None:
        """Store metric points in as few calls as possible."""
        ...

    def log_params(self, params: dict[str, str]) -> None:
        """Store parameters."""
        ...

    def set_tags(self, tags: dict[str, str]) -> None:
        """Store tags."""
        ...

    def log_image(self, key: str, image_u8: np.ndarray, step: int) -> None:
        """Store an image under a key and a step."""
        ...

    def log_input(self, name: str, path: str, sha256: str, context: str) -> None:
        """Store a data set that the run reads."""
        ...

    def log_artifact(self, path: Path, folder: str | None) -> None:
        """Store a file or directory."""
        ...

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        ...


class NullRun:
    """A run that remembers nothing and still reports progress: what `current_run()` gives outside a run."""

    uri = ""

    def __init__(self, on_progress: ProgressCallback | None = None) -> None:
        self._on_progress = on_progress

    @property
    def run_id(self) -> str:
        """MLflow's id of the run, "" outside one."""
        return ""

    @property
    def ref(self) -> str:
        """What to pass as `parent_run_id` to a run below this one."""
        return ""

    @property
    def url(self) -> str:
        """Where the run is shown: a whole URL with a server, else the part after the address of `mlflow ui`."""
        return ""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; nested mappings and dataclasses become dotted keys."""

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log values at `step` (for training: images seen)."""

    def log_image(self, key: str, image_u8: np.ndarray, step: int = 0) -> None:
        """Log an (height, width, 3) uint8 array so that MLflow's image panel shows it over steps."""

    def log_input(self, name: str, path: Path | str, sha256: str, context: str = "input") -> None:
        """Log a data set with the SHA-256 of its bytes."""

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file or directory below `folder`; ValueError if a name holds characters outside the allow-list."""

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags on the run."""

    def flush(self) -> None:
        """Send what is buffered."""

    def progress(self, done: int, total: int, **fields: Any) -> None:
        """Tell whoever opened the run that `done` of `total` is finished; `fields` are shown beside it (loss=...)."""
        if self._on_progress is not None:
            self._on_progress(done, total, fields)


class Run(NullRun):
    """An open run: see the methods of `NullRun` for what each does."""

    def __init__(self, backend: Backend, on_progress: ProgressCallback | None = None) -> None:
        super().__init__(on_progress)
        self._backend = backend
        self._points: list[Point] = []
        self._dropped: Counter[str] = Counter()
        self._flushed_at_s = time.monotonic()
        self.uri = backend.uri

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""
        return self._backend.run_id

    @property
    def ref(self) -> str:
        """What to pass as `parent_run_id` to a run below this one."""
        return self._backend.ref

    @property
    def url(self) -> str:
        """Where the run is shown."""
        return self._backend.url

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; nested mappings and dataclasses become dotted keys, long values are cut."""
        self._backend.log_params(flatten(params))

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Buffer values at `step`; NaN and infinity are left out and named in the tag `easel.warning`."""
        now_ms = int(time.time() * 1000)
        finite, dropped = finite_only(metrics)
        self._points += [Point(key, value, int(step), now_ms) for key, value in finite.items()]
        self._dropped.update(dropped)
        self._flush_if_due()

    def log_image(self, key: str, image_u8: np.ndarray, step: int = 0) -> None:
        """Log an (height, width, 3) uint8 array under a step-keyed name."""
        if image_u8.dtype != np.uint8 or image_u8.ndim != 3 or image_u8.shape[2] != 3:
            raise ValueError(f"image {key!r} must be uint8 (height, width, 3), got {image_u8.dtype} {image_u8.shape}")
        self._backend.log_image(safe_name(key), image_u8, int(step))

    def log_input(self, name: str, path: Path | str, sha256: str, context: str = "input") -> None:
        """Log a data set by path; its full SHA-256 stands in the input tag `sha256`."""
        self._backend.log_input(safe_name(name), str(path), sha256, context)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file or directory below `folder`; ValueError if a name holds characters outside the allow-list."""
        for file in path.rglob("*") if path.is_dir() else (path,):
            checked_artifact_path(file.relative_to(path.parent).as_posix())
        self._backend.log_artifact(path, None if folder is None else checked_artifact_path(folder))

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; long values are cut."""
        self._backend.set_tags(clean_tags(tags))

    def progress(self, done: int, total: int, **fields: Any) -> None:
        """Report progress, and send buffered points if they have waited long enough."""
        super().progress(done, total, **fields)
        self._flush_if_due()

    def _flush_if_due(self) -> None:
        waited_s = time.monotonic() - self._flushed_at_s
        if len(self._points) >= FLUSH_POINTS or (self._points and waited_s >= FLUSH_AFTER_S):
            self.flush()

    def flush(self) -> None:
        """Send all buffered points, and the warning about dropped ones, now."""
        points, self._points = self._points, []
        self._flushed_at_s = time.monotonic()
        if points:
            self._backend.log_points(points)
        if self._dropped:
            counts = ", ".join(f"{key} ({count})" for key, count in sorted(self._dropped.items()))
            self._backend.set_tags(clean_tags({WARNING_TAG: f"non-finite values left out: {counts}"}))


_current: list[NullRun] = []


def current_run() -> NullRun:
    """The innermost run opened in this process by `open_run`, else a `NullRun`."""
    # A plain module variable, not a context variable: data-loading threads must see the run too.
    return _current[-1] if _current else NullRun()


def push(run: NullRun) -> None:
    """Make `run` the current one until `pop`."""
    _current.append(run)


def pop() -> None:
    """Forget the current run, so that the one before it is current again."""
    _current.pop()
