"""Being asked to stop: a signal raises a flag, and training ends after the step that is running, with a checkpoint."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

EXIT_PREEMPTED = 75
"""`EX_TEMPFAIL` of sysexits.h: nothing is wrong, run again to continue."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""What platforms send before they take a machine away; Slurm sends the second where it is told to."""


class PreemptedError(RuntimeError):
    """Training stopped on request, with a checkpoint to continue from."""

    exit_code = EXIT_PREEMPTED

    def __init__(self, images_seen: int) -> None:
        super().__init__(f"stopped on request after {images_seen} images; run again to continue")


class StopRequest:
    """Whether this process was asked to stop. It is told by `ask`, or by a signal inside `listening`."""

    def __init__(self) -> None:
        self.is_asked = False
        self._is_listening = False

    def ask(self) -> None:
        """Ask training to stop after the running step."""
        self.is_asked = True

    @contextmanager
    def listening(self) -> Generator[None]:
        """Inside the block `SIGNALS` ask for a stop instead of ending the process; then everything is as before.

        Only the main thread can listen; in others nothing changes.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self._is_listening = True
        self.listen_again()
        try:
            yield
        finally:
            self._is_listening = False
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen_again(self) -> None:
        """Inside `listening`, take the signals back from a framework that has meanwhile taken them.

        Lightning's own handler talks to the other processes from inside the signal, in the midst of whatever is going
        on between them.
        """
        if self._is_listening and threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.ask()
