"""OpenLineage events of a build while it runs: START when a stage's process begins, then COMPLETE, FAIL or ABORT.

They go to a file below EASEL_HOME, or to a server (Marquez and its like) where settings name one. A thread of its own
does all of it, imports included, so that no stage waits. What a server does not take goes to the file, and the server
is left alone for a while; what cannot be written at all is given up for the rest of the build; each with one remark.
Nothing is told of a stage that did not run; its record stands in the ledger. No event and no remark names a folder of
this machine, a password or a key.
"""

import atexit
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from flows.lineage.settings import openlineage_api_key, openlineage_file, openlineage_namespace, openlineage_url

if TYPE_CHECKING:
    from components.lineage.log import Ledger
    from components.lineage.openlineage_events import Data, Told
    from components.lineage.record import Record
    from flows.local import Build

POLL_S = 0.2
"""How often a stage that is to begin is looked for: its process opens its log."""
PATIENCE_S = 2.0
"""How long a server may take to answer."""
PAUSE_S = 30.0
"""How long a server that did not take an event is not asked again."""
MACHINE_S = 30.0
"""How long a build's end waits for this machine alone: for imports, and for the file where there is no server."""
HOST = socket.gethostname()
End = Literal["COMPLETE", "FAIL", "ABORT", "did not run"]


@dataclass(frozen=True)
class Place:
    """Where events go: the server that settings name, else a file."""

    url: str
    api_key: str
    file: Path


@dataclass(frozen=True)
class _News:
    stage: str
    state: str
    at: float
    error: str = ""


class Teller:
    """Tells of one build, in a thread that ends with it; its methods never wait and never fail."""

    def __init__(self, build: "Build") -> None:
        self.build = build
        self._place = Place(openlineage_url(), openlineage_api_key(), openlineage_file(build.root))
        self._namespace = openlineage_namespace()
        self._news: SimpleQueue[_News | None] = SimpleQueue()
        self._waiting: dict[str, float] = {}
        self._begun: dict[str, Told] = {}
        self._attempts: dict[str, int] = {}
        self._server: Any = None
        self._file: Any = None
        self._asks_again_at = 0.0
        self._ledger: Ledger | None = None
        self._is_silent, self._is_ready = False, Event()
        self._thread = Thread(target=self._work, name=f"openlineage {build.name}", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def begin(self, stage: str) -> None:
        """The stage is asked for; once its process is there, START is told."""
        self._news.put(_News(stage, "asked for", time.time()))

    def end(self, stage: str, state: End, error: str = "") -> None:
        """The stage is done with, in one way or another."""
        for folder, short in ((self.build.root, ""), (Path.home(), "~/")):
            error = error.replace(f"{folder}/", short) if folder.name else error
        self._news.put(_News(stage, state, time.time(), error))

    def build_event(self, state: Literal["START", "COMPLETE", "FAIL"]) -> None:
        """The build itself begins or ends."""
        self._news.put(_News("", state, time.time()))

    def close(self) -> None:
        """Wait until all is told; where there is a server, no longer than one that hangs can take."""
        self._news.put(None)
        self._is_ready.wait(MACHINE_S)
        self._thread.join(2 * PATIENCE_S if self._place.url else MACHINE_S)
        atexit.unregister(self.close)

    def _work(self) -> None:
        while True:
            try:
                news = self._news.get(timeout=POLL_S if self._waiting else None)
            except Empty:
                self._carefully(self._look)
                continue
            if news is None:
                self._is_ready.set()
                return
            self._carefully(self._hear, news)

    def _carefully(self, do: Any, *arguments: Any) -> None:
        if self._is_silent:
            return
        try:
            do(*arguments)
        except Exception as error:  # a disk, a network, a server may fail in ways of their own; no build ends for that
            self._is_silent = True
            self._is_ready.set()
            self.build.remark("openlineage", f"events of this build are no longer told: {self._line(error)}")

    def _line(self, error: Exception) -> str:
        """The error in one line, without what the server's address may hold of names and passwords."""
        text = " ".join(str(error).split()) or type(error).__name__
        account = urlsplit(self._place.url).netloc.rpartition("@")[0]
        for secret in filter(None, (self._place.api_key, account)):
            text = text.replace(secret, "...")
        return text[:200]

    def _look(self) -> None:
        for stage, asked_at in list(self._waiting.items()):
            log = self.build.directory / f"{stage}.log"
            if log.exists() and log.stat().st_mtime >= asked_at:
                self._start(stage, log.stat().st_mtime)

    def _hear(self, news: _News) -> None:
        match news.state:
            case "asked for":
                self._waiting[news.stage] = news.at
            case "did not run":
                self._waiting.pop(news.stage, None)
            case _ if not news.stage:
                self._emit(news.state, news.at, self._of_build())
            case _:
                self._finish(news)

    def _start(self, stage: str, at: float) -> None:
        self._waiting.pop(stage, None)
        self._begun[stage] = self._of_stage(stage)
        self._emit("START", at, self._begun[stage], inputs=self._declared(stage)[0])

    def _finish(self, news: _News) -> None:
        if news.stage not in self._begun:  # it was over before it was looked for
            self._start(news.stage, self._started_at(news))
        told = self._begun.pop(news.stage)
        inputs, outputs = self._declared(news.stage)
        if news.state != "COMPLETE":
            self._emit(news.state, news.at, told, inputs=inputs, error=news.error)
            return
        if record := self._record(news.stage):
            from components.lineage.exporters.openlineage import facts_of_run

            about, parameters, inputs, outputs = facts_of_run(record)
            told = replace(told, about=about, parameters=parameters)
        self._emit("COMPLETE", news.at, told, inputs=inputs, outputs=outputs)

    def _started_at(self, news: _News) -> float:
        from flows.reports import read_report

        report = read_report(self.build.directory, news.stage)
        return min(report.started_at if report else news.at, news.at)

    def _record(self, stage: str) -> "Record | None":
        """What the ledger has of the stage's run in this build; None where it could not be recorded."""
        from flows.lineage.ledger import open_ledger
        from flows.lineage.record_keeping import noted_records

        noted = noted_records(self.build.directory).get(stage)
        if noted is None or noted["is_reference"]:
            return None
        self._ledger = self._ledger or open_ledger(self.build.root)
        return self._ledger.find(noted["record"])

    def _declared(self, stage: str) -> "tuple[list[Data], list[Data]]":
        """What the stage reads and writes, as the pipeline says: paths and roles, before there are digests."""
        from components.lineage.openlineage_events import Data
        from flows.pipeline import PIPELINE

        declared = PIPELINE[stage]
        inputs = {role: artifact.path for role, artifact in declared.inputs.items()}
        ends = (inputs, declared.outputs)
        read, made = ([Data(path, about={"roles": [role]}) for role, path in end.items()] for end in ends)
        return read, made

    def _of_build(self) -> "Told":
        from components.lineage.openlineage_events import BUILD_JOB, Told, build_run

        facts = {"build": self.build.name, "profile": self.build.profile, "stages": ", ".join(self.build.stages)}
        run = build_run(self._namespace, self.build.name, HOST)
        return Told(BUILD_JOB, run, namespace=self._namespace, about={"kind": "build", "facts": facts})

    def _of_stage(self, stage: str) -> "Told":
        from components.lineage.openlineage_events import Told, stage_run

        self._attempts[stage] = self._attempts.get(stage, 0) + 1
        run = stage_run(self._namespace, self.build.name, HOST, stage, self._attempts[stage])
        about = {"kind": "stage", "facts": {"build": self.build.name}}
        return Told(stage, run, self._of_build().run, self._namespace, about=about)

    def _emit(
        self,
        state: Any,
        at: float,
        told: "Told",
        *,
        inputs: "Sequence[Data]" = (),
        outputs: "Sequence[Data]" = (),
        error: str = "",
    ) -> None:
        from components.lineage.openlineage_events import run_event
        from flows.lineage.stage_records import iso

        self._send(run_event(state, iso(at), told, inputs=inputs, outputs=outputs, error=error))

    def _send(self, event: Any) -> None:
        """To the server, and to the file what the server does not take."""
        if self._place.url and time.monotonic() >= self._asks_again_at:
            try:
                self._server = self._server or open_server(self._place)
                self._is_ready.set()
                self._server.emit(event)
                return
            except Exception as error:  # of a network in ways of its own; nothing is lost: the file has it
                if not self._asks_again_at:
                    line = f"events go to {self._place.file.name} while their server does not take them"
                    self.build.remark("openlineage", f"{line}: {self._line(error)}")
                self._asks_again_at = time.monotonic() + PAUSE_S
        self._file = self._file or open_file(self._place)
        self._is_ready.set()
        self._file.emit(event)


def open_server(place: Place) -> Any:
    """The client's own transport to the server of `place`, without retries.

    Raises:
        ValueError: the address is none.
    """
    from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider

    auth = ApiKeyTokenProvider({"api_key": place.api_key}) if place.api_key else TokenProvider({})
    return HttpTransport(HttpConfig(url=place.url, timeout=PATIENCE_S, retry={"total": 0}, auth=auth))


def open_file(place: Place) -> Any:
    """The client's own transport to the file of `place`."""
    from openlineage.client.transport.file import FileConfig, FileTransport

    place.file.parent.mkdir(parents=True, exist_ok=True)
    return FileTransport(FileConfig(log_file_path=str(place.file), append=True))


_TELLERS: dict[Path, Teller] = {}
_LOCK = Lock()


def teller(build: "Build") -> Teller:
    """Who tells of `build` in this process."""
    with _LOCK:
        if build.directory not in _TELLERS:
            _TELLERS[build.directory] = Teller(build)
        return _TELLERS[build.directory]


def close(build: "Build", state: Literal["COMPLETE", "FAIL"]) -> None:
    """The build ends so; what is still to be told has little time."""
    told = teller(build)
    told.build_event(state)
    told.close()
    with _LOCK:
        _TELLERS.pop(build.directory, None)
