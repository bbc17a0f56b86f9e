"""The ranks of one stage on this machine: started together, watched, and stopped together.

Each gets the environment that torchrun gives its workers, a log of its own, and a process group of its own, so that a
key pressed in the terminal reaches only who started them. They can meet at a socket that listens on loopback only and
that rank 0 inherits: torch itself listens on every interface, at a port that somebody else may have taken meanwhile.
As soon as one rank fails, all others are stopped. SIGTERM and Ctrl-C are passed on as SIGTERM, and the ranks get time
to write a checkpoint; a second Ctrl-C ends them at once. Nothing that they started outlives them.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType

HOST = "127.0.0.1"
MEETING = "EASEL_MEETING"
"""Tells rank 0 the descriptor of the socket at which it serves the others."""
POLL_S = 0.05
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


@dataclass(frozen=True)
class Ended:
    """How one rank ended: its exit code (negative: the signal that killed it), and whether it had been told to stop."""

    rank: int
    code: int
    was_told: bool


def run_ranks(
    command: Sequence[str],
    num_ranks: int,
    environment: Mapping[str, str],
    log_dir: Path,
    *,
    grace_s: float,
    failure_grace_s: float = 10.0,
    rank_0_serves: bool = False,
) -> list[Ended]:
    """Run `command` once per rank and wait for all; returns how each ended, in the order in which they did.

    `environment` is all that the ranks get besides their places. After a signal they have `grace_s` to end by
    themselves; after a failure of one of them, the others have `failure_grace_s`. With `rank_0_serves`, rank 0 serves a
    store, good for one process group, at the socket whose descriptor `MEETING` gives; else torch opens MASTER_PORT.
    """
    with socket.create_server((HOST, 0)) as meeting, _Ranks(grace_s).forwarding() as ranks:
        try:
            for rank, place in enumerate(places(num_ranks, meeting.getsockname()[1])):
                served = {MEETING: str(meeting.fileno()), "TORCHELASTIC_USE_AGENT_STORE": "True"}
                told = {**environment, **place, **(served if rank_0_serves else {})}
                ranks.start(command, told, log_file(log_dir, rank), [meeting.fileno()] * (rank_0_serves and rank == 0))
            meeting.close()
            return ranks.watch(failure_grace_s)
        finally:
            ranks.kill()


def log_file(log_dir: Path, rank: int) -> Path:
    """Where the output of `rank` goes."""
    return log_dir / f"rank-{rank:05d}.log"


def places(num_ranks: int, port: int) -> list[dict[str, str]]:
    """What tells each rank its place among `num_ranks` on this machine, and where all meet, in torchrun's words."""
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    shared = {
        "WORLD_SIZE": str(num_ranks),
        "LOCAL_WORLD_SIZE": str(num_ranks),
        "GROUP_RANK": "0",
        "MASTER_ADDR": HOST,
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "local",
        "GLOO_SOCKET_IFNAME": loopback,
        "NCCL_SOCKET_IFNAME": loopback,
    }
    return [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(num_ranks)]


def end_group(leader: int) -> None:
    """Kill what is left of the process group of a rank: itself, and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


class _Ranks:
    """The children of one call, and when their time is up."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._children: list[subprocess.Popen[bytes]] = []
        self._deadline_s: float | None = None

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, inherited: Sequence[int]
    ) -> None:
        """Start one more, with these file descriptors open."""
        with log.open("wb") as stream:
            child = subprocess.Popen(
                command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
                start_new_session=True, pass_fds=inherited,
            )  # fmt: skip
        self._children.append(child)
        if self._deadline_s is not None:  # told to stop while the ranks were being started
            child.terminate()

    def watch(self, failure_grace_s: float) -> list[Ended]:
        """Wait for all; told to stop once one fails, killed once their time is up."""
        ended: dict[int, Ended] = {}
        while len(ended) < len(self._children):
            was_told = self._deadline_s is not None
            for rank, child in enumerate(self._children):
                if rank not in ended and child.poll() is not None:
                    ended[rank] = Ended(rank, child.returncode, was_told)
                    end_group(child.pid)
            if any(one.code for one in ended.values()):
                self.stop(failure_grace_s)
            if self._deadline_s is not None and time.monotonic() > self._deadline_s:
                self.kill()
            time.sleep(POLL_S)
        return list(ended.values())

    def stop(self, grace_s: float) -> None:
        """Ask all to end within `grace_s`; only the first request counts."""
        if self._deadline_s is None:
            self._deadline_s = time.monotonic() + grace_s
            for child in self._children:
                if child.poll() is None:
                    child.terminate()

    def kill(self) -> None:
        """End those that still run, with the processes they started."""
        for child in self._children:
            if child.poll() is None:
                end_group(child.pid)
                child.wait()

    @contextmanager
    def forwarding(self) -> Generator["_Ranks"]:
        """Inside the block signals to this process are passed on to the ranks; only the main thread can do that."""
        if current_thread() is not main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._on_signal) for number in FORWARDED}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._deadline_s is not None:
            self._deadline_s = 0.0
        self.stop(self._grace_s)
