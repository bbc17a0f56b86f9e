"""Servers of one host, started as children of this process: Prefect's API and MLflow's UI. Loopback only.

A reply on a port proves nothing: a server that cannot bind exits, while a stranger's server answers in its place. So a
server counts as up only when our child lives, itself owns the listening socket, and answers.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from flows import settings
from flows.reports import write_durably

HOST = "127.0.0.1"
START_LIMIT_S = 120


class ServerError(ValueError):
    """A server did not come up; the message names its log and what to do instead."""


@dataclass(frozen=True)
class Server:
    """A running server of ours; `child` in the process that started it."""

    name: str
    pid: int
    port: int
    child: subprocess.Popen[bytes] | None = field(default=None, compare=False, repr=False)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"


def free_port() -> int:
    """A TCP port that is free on loopback now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def listens(pid: int, port: int) -> bool:
    """Whether the process `pid` or one of its children owns a listening socket on `port`."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return any(
            c.status == psutil.CONN_LISTEN and c.laddr.port == port
            for member in family
            for c in member.net_connections(kind="inet")
        )
    except psutil.Error:
        return False


def answers(url: str) -> bool:
    """Whether `url` answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return reply.status == 200
    except (OSError, urllib.error.URLError):
        return False


def start(name: str, command: list[str], port: int, health: str, home: Path, environment: Mapping[str, str]) -> Server:
    """Start a server as a child and wait until it is up.

    Raises:
        ServerError: it ended, or was not up within two minutes.
    """
    home.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    with log.open("ab") as stream:
        child = subprocess.Popen(
            command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, env={**os.environ, **environment},
            start_new_session=True,  # Ctrl-C in the terminal is for the run; the run then stops its server
        )  # fmt: skip
    server, deadline = Server(name, child.pid, port, child), time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and child.poll() is None:
        if listens(child.pid, port) and answers(f"{server.url}{health}"):
            return server
        time.sleep(0.2)
    state = f"ended with code {child.returncode}" if child.returncode is not None else f"not up in {START_LIMIT_S} s"
    stop(server)
    raise ServerError(f"the {name} server {state}; its log is {log}")


def stop(server: Server) -> None:
    """End the server and its workers, politely first."""
    try:
        os.killpg(server.pid, signal.SIGTERM)
        psutil.Process(server.pid).wait(timeout=10)
    except (ProcessLookupError, psutil.NoSuchProcess):
        pass
    except psutil.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
    if server.child:
        server.child.wait()  # reaped, and its pid free


def prefect_environment(home: Path) -> dict[str, str]:
    """Settings of the Prefect server and its clients: a home of their own, and the terminal left to our display."""
    return {"PREFECT_HOME": str(home), "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", **settings.QUIET}


def start_prefect(root: Path) -> Server:
    """Prefect's API and UI over this workspace's own database."""
    home, port = settings.home(root) / "prefect", free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    return start("Prefect", command, port, "/api/health", home, prefect_environment(home))


def start_mlflow(root: Path, port: int | None = None) -> Server:
    """MLflow's UI over this workspace's own store."""
    home, port = settings.home(root) / "mlflow", port or free_port()
    settings.tracking_artifacts(root).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", settings.tracking_uri(root)]
    command += ["--default-artifact-root", settings.tracking_artifacts(root).as_uri()]
    environment = {**settings.QUIET, "MLFLOW_ENABLE_AI_GATEWAY": "false"}  # pages that have nothing to do with Easel
    return start("MLflow", command, port, "/health", home, environment)


def standing_file(root: Path) -> Path:
    """Where `easel up` notes the Prefect server that it keeps."""
    return settings.home(root) / "prefect" / "standing.json"


def standing_prefect(root: Path) -> str | None:
    """URL of the API to use: what a person has set, or the server that `easel up` keeps; None if neither is."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    file = standing_file(root)
    if not file.exists():
        return None
    server = Server(**json.loads(file.read_text(encoding="utf-8")))
    is_ours = listens(server.pid, server.port) and answers(f"{server.url}/api/health")
    return f"{server.url}/api" if is_ours else None


@contextmanager
def prefect_api(root: Path) -> Generator[str]:
    """URL of Prefect's API for one run: the standing server's, else that of a private server that ends with the block.

    Raises:
        ServerError: the private server did not start; names the executor that needs none.
    """
    if url := standing_prefect(root):
        yield url
        return
    try:
        server = start_prefect(root)
    except ServerError as error:
        raise ServerError(f"{error}; `easel run --executor local` needs no server") from None
    try:
        yield f"{server.url}/api"
    finally:
        stop(server)


@contextmanager
def both(root: Path) -> Generator[tuple[Server, Server]]:
    """The Prefect and MLflow servers of `easel up`, noted so that runs find them, until the block ends."""
    prefect = start_prefect(root)
    try:
        mlflow = start_mlflow(root)
        try:
            write_durably(
                standing_file(root), json.dumps({"name": prefect.name, "pid": prefect.pid, "port": prefect.port})
            )
            yield prefect, mlflow
        finally:
            standing_file(root).unlink(missing_ok=True)
            stop(mlflow)
    finally:
        stop(prefect)
