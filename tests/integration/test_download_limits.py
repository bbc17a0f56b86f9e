"""What one host sees of many downloads at once: a real server that counts."""

import base64
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest

from components.data.landing import land
from components.data.readers import READERS, open_store
from components.data.readers.download import Downloader
from components.data.readers.interface import ReadLimits

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class CountingServer(ThreadingHTTPServer):
    """Counts the requests that are answered at once, by the name of the host that they ask for."""

    daemon_threads = True

    def __init__(self, meet: int) -> None:
        super().__init__(("127.0.0.1", 0), Counted)
        self.lock, self.running, self.most, self.total = threading.Lock(), Counter[str](), Counter[str](), 0
        self.meeting = threading.Barrier(meet)


class Counted(BaseHTTPRequestHandler):
    """Sends a picture, or for /moved where it is, once as many requests are here as the server wants to meet."""

    def do_GET(self) -> None:
        server, host = cast(CountingServer, self.server), self.headers["Host"].partition(":")[0]
        with server.lock:
            server.running[host] += 1
            server.total += 1
            server.most[host] = max(server.most[host], server.running[host])
        with contextlib.suppress(threading.BrokenBarrierError):
            server.meeting.wait(60)
        with server.lock:
            server.running[host] -= 1
        body = b"" if self.path == "/moved" else PICTURE
        self.send_response(302 if self.path == "/moved" else 200)
        for key, value in (("Content-Type", "image/png"), ("Content-Length", str(len(body))), ("Location", "/7")):
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def counting() -> Iterator[Callable[[int], CountingServer]]:
    with contextlib.ExitStack() as stack:

        def start(meet: int) -> CountingServer:
            server = stack.enter_context(CountingServer(meet))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            return server

        yield start


def land_list(server: CountingServer, hosts: list[str], limits: ReadLimits, folder: Path) -> int:
    """Lands an image of each of `hosts`, by as many threads as the reader wants; how many came."""
    port = server.server_address[1]
    rows = ["url", *(f"http://{host}:{port}/{number}" for number, host in enumerate(hosts))]
    (folder / "list.csv").write_text("\n".join(rows), encoding="utf-8")
    reader = READERS["urls"](open_store(str(folder / "list.csv")), limits, ["127.0.0.1", "localhost"])
    return land(reader, folder / "pool", origin="list").num_landed


def test_one_host_is_asked_by_no_more_threads_at_once_than_allowed(
    counting: Callable[[int], CountingServer], tmp_path: Path
) -> None:
    server = counting(2)
    limits = ReadLimits(host_at_once=2, host_requests_per_s=1e6)
    assert land_list(server, ["127.0.0.1"] * 12, limits, tmp_path) == server.total == 12
    assert server.most == {"127.0.0.1": 2}


def test_another_host_does_not_wait_for_a_busy_one(counting: Callable[[int], CountingServer], tmp_path: Path) -> None:
    server = counting(2)  # one of each host must be here before either is answered
    limits = ReadLimits(host_at_once=1, host_requests_per_s=1e6)
    assert land_list(server, ["127.0.0.1", "localhost"] * 4, limits, tmp_path) == 8
    assert server.most == {"127.0.0.1": 1, "localhost": 1}
    assert not server.meeting.broken


def test_one_host_is_asked_no_more_often_than_allowed(
    counting: Callable[[int], CountingServer], tmp_path: Path
) -> None:
    server, begun = counting(1), time.monotonic()
    limits = ReadLimits(host_at_once=8, host_requests_per_s=20.0)
    assert land_list(server, ["127.0.0.1"] * 11, limits, tmp_path) == 11
    assert time.monotonic() - begun >= 10 / 20.0, "eleven requests begin at least ten intervals apart"


def test_a_redirect_to_another_page_of_the_host_waits_for_its_own_turn(
    counting: Callable[[int], CountingServer],
) -> None:
    server = counting(1)
    limits = ReadLimits(host_at_once=1, fetch_s=2.0)
    fetch = Downloader(limits, ["127.0.0.1"]).fetch
    assert fetch(f"http://127.0.0.1:{server.server_address[1]}/moved") == PICTURE
    assert server.total == 2


def test_the_wait_for_a_turn_is_no_part_of_a_downloads_time(
    counting: Callable[[int], CountingServer], tmp_path: Path
) -> None:
    limits = ReadLimits(host_at_once=1, host_requests_per_s=2.0, fetch_s=2.0)
    assert land_list(counting(1), ["127.0.0.1"] * 6, limits, tmp_path) == 6  # the last one waits 2.5 s
