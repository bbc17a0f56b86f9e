"""A clock over the training steps, and a thread that ends a process whose steps have stopped coming.

A process that hangs (a lost peer in a collective, a dead file system) costs as much as one that trains, and says
nothing. It is ended with a code of its own, after the stacks of all threads were written down.
"""

import faulthandler
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from components.training.incidents import incident_file

EXIT_STALLED = 76
"""The process was ended because no step came; running again continues from the last checkpoint."""
_RECENT_STEPS = 101
_GIVE_UP_S = 10.0


class StepClock:
    """How long training has run and how long its steps take, without the time of what runs beside it."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.RLock()
        self._durations: deque[float] = deque(maxlen=_RECENT_STEPS)
        self._start = now()
        self._last_step_s = self._paused_s = 0.0
        self._paused_since: float | None = None
        self._depth = 0

    def step(self) -> None:
        """A step has just ended."""
        with self._lock:
            at_s = self.training_s
            self._durations.append(at_s - self._last_step_s)
            self._last_step_s = at_s

    @contextmanager
    def paused(self) -> Generator[None]:
        """Inside the block the clock stands still; blocks may be nested."""
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._paused_since = self._now()
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if self._depth == 0 and self._paused_since is not None:
                    self._paused_s += self._now() - self._paused_since
                    self._paused_since = None

    @property
    def training_s(self) -> float:
        """Seconds since the start, without pauses."""
        with self._lock:
            until = self._now() if self._paused_since is None else self._paused_since
            return until - self._start - self._paused_s

    @property
    def silent_s(self) -> float:
        """Seconds since the last step (or the start), without pauses."""
        with self._lock:
            return self.training_s - self._last_step_s

    @property
    def median_s(self) -> float | None:
        """The median of the recent steps; None before the first."""
        with self._lock:
            return median(self._durations) if self._durations else None


class Watchdog:
    """Ends the process with EXIT_STALLED when no step came within `factor` medians, and at least `floor_s` seconds.

    Before the first step, which loads and compiles, it waits `first_s`. `give_up` is told why, and has ten seconds to
    leave a report. If even this thread gets no turn for so long (a library holds the interpreter), the interpreter's
    own alarm writes the stacks and ends the process with code 1.
    """

    def __init__(
        self,
        clock: StepClock,
        incidents: Path,
        give_up: Callable[[str], None],
        *,
        factor: float = 30.0,
        floor_s: float = 300.0,
        first_s: float = 3600.0,
    ) -> None:
        if factor <= 1 or floor_s <= 0 or first_s <= 0:
            raise ValueError(f"needs factor > 1 and positive seconds, got {factor}, {floor_s} and {first_s}")
        self._clock, self._incidents, self._give_up = clock, incidents, give_up
        self._factor, self._floor_s, self._first_s = factor, floor_s, first_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.images_seen = 0

    @property
    def limit_s(self) -> float:
        """How long no step may come."""
        typical_s = self._clock.median_s
        return self._first_s if typical_s is None else max(self._floor_s, self._factor * typical_s)

    @contextmanager
    def watching(self) -> Generator[None]:
        """Watch over the steps inside the block."""
        self._ended.clear()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="step-watchdog")
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()

    def _watch(self) -> None:
        file = incident_file(self._incidents, "interpreter-held", 0, "txt")
        with file.open("w", encoding="utf-8") as stream:
            try:
                faulthandler.dump_traceback_later(self.limit_s, exit=True, file=stream)
                while not self._ended.wait(min(1.0, self.limit_s / 4)):
                    faulthandler.dump_traceback_later(self.limit_s, exit=True, file=stream)
                    if self._clock.silent_s > self.limit_s:
                        self._end_process()
            finally:
                faulthandler.cancel_dump_traceback_later()
        file.unlink(missing_ok=True)

    def _end_process(self) -> None:
        file = incident_file(self._incidents, "stalled", self.images_seen, "txt")
        message = (
            f"no step for {self._clock.silent_s:.0f} s after {self.images_seen} images (allowed: {self.limit_s:.0f}); "
            f"the stacks are in {file}; run again to continue"
        )
        with file.open("w", encoding="utf-8") as stream:
            stream.write(message + "\n")
            stream.flush()
            faulthandler.dump_traceback(stream, all_threads=True)
            os.fsync(stream.fileno())
        # The report may hang where training hangs: it gets a thread, and not for ever.
        last_words = threading.Thread(target=self._give_up, args=(message,), daemon=True)
        last_words.start()
        last_words.join(_GIVE_UP_S)
        os._exit(EXIT_STALLED)
