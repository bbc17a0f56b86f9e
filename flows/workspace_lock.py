"""Who may work in a workspace: builds beside each other (DVC orders them), or one who changes what they stand on alone.

Locks of the operating system: they vanish with the process that holds them, however it ends.
"""

import fcntl
import os
import time
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path

from flows import settings
from flows.declaration import MADE_DIR

_POLL_S = 0.2


class BusyError(ValueError):
    """Something else works in the workspace; one line says what, and what to do."""


@contextmanager
def building(root: Path) -> Generator[None]:
    """The right to run stages, until the block or the process ends.

    Raises:
        BusyError: a takedown changes the data just now.
    """
    with _flocked(_file(root), fcntl.LOCK_SH) as is_free:
        if not is_free:
            raise BusyError(f"{root}: a takedown changes the data here; wait for it to end and run again")
        yield


@contextmanager
def alone(root: Path, stages: Iterable[str], *, waits: bool) -> Generator[None]:
    """The right to change what stages stand on: no build, no stage and no landing works here meanwhile.

    Raises:
        BusyError: one does, or another who must be alone, and `waits` is False.
    """
    (root / MADE_DIR).mkdir(exist_ok=True)
    pools = sorted(path for path in (root / "data").glob("*") if path.is_dir())
    wanted = [(_file(root), "a build runs")]
    wanted += [(root / MADE_DIR / f".{name}.lock", f"the stage {name} runs") for name in stages]
    wanted += [(pool, f"data/{pool.name} is being landed") for pool in pools]
    while True:
        with ExitStack() as held:
            busy = next((what for file, what in wanted if not held.enter_context(_flocked(file, fcntl.LOCK_EX))), "")
            if busy == wanted[0][1] and not held.enter_context(_flocked(_file(root), fcntl.LOCK_SH)):
                busy = "another takedown works"  # builds share the lock
            if not busy:
                yield
                return
        if not waits:
            raise BusyError(f"{root}: {busy} here; wait for it to end and run again, or say --wait")
        time.sleep(_POLL_S)


def _file(root: Path) -> Path:
    return settings.home(root) / "workspace.lock"


@contextmanager
def _flocked(path: Path, kind: int) -> Generator[bool]:
    """Whether the lock on a file (made if there is none) or folder was to be had; held inside the block."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            is_free = True
        except BlockingIOError:
            is_free = False
        yield is_free
    finally:
        os.close(handle)
