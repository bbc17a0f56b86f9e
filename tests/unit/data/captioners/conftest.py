"""A real HTTP server on loopback that answers, or misbehaves, as the model's name asks."""

import json
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

GOOD = {
    "subject": "square",
    "style": "flat",
    "category": "shapes",
    "text": "",
    "short": "a plain square",
    "sentence": "A plain square fills the picture.",
    "long": "A plain square fills the whole picture. Nothing else is seen.",
    "attributes": ["plain"],
}


USAGE = {"prompt_tokens": 100, "completion_tokens": 20}


def completion(answer: str, finish: str = "stop", usage: dict[str, Any] = USAGE) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


PLAIN: dict[str, Any] = {
    "gzip": (200, b"\x1f\x8b", ("Content-Encoding", "gzip")),
    "html": (200, b"\n<!DOCTYPE html><html><script>alert(1)</script></html>"),
    "not a completion": (200, b'{"choices": []}'),
    "not text": (200, b'{"choices": [{"message": {"content": null}}]}'),
    "redirect": (302, b"", ("Location", "http://169.254.169.254/latest")),
    "429": (429, b"slow down", ("Retry-After", "0")),
    "500": (500, b"<html>oops</html>"),
    "400": (400, b'{"error": "too long"}'),
    "401": (401, b"who?"),
    "cut off": (200, completion('{"en": {"subject"', "length")),
}


class Endpoint(ThreadingHTTPServer):
    """`mode` says how to behave; requests are kept as they came. `flaky` is how many fail before one succeeds."""

    daemon_threads = True
    good_answer = GOOD

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.usage: dict[str, Any] = USAGE
        self.mode, self.flaky, self.peak, self.open = "good", 0, 0, 0
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(body)
            self.server.keys.append(self.headers.get("Authorization"))
            self.server.open += 1
            self.server.peak = max(self.server.peak, self.server.open)
            number = len(self.server.requests)
        mode = self.server.mode if number > self.server.flaky else "500"
        try:
            self.answer(mode)
        except OSError:
            self.close_connection = True
        finally:
            with self.server.lock:
                self.server.open -= 1

    def answer(self, mode: str) -> None:
        if mode in PLAIN:
            status, reply, *headers = PLAIN[mode]
            self.send(status, reply, *headers)
            return
        match mode:
            case "good":
                time.sleep(0.02)
                self.send(200, completion(json.dumps({"en": GOOD}), usage=self.server.usage))
            case "silent":
                time.sleep(1.5)
            case "drip":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                for _ in range(20):
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.1)
            case "flood":
                self.send_response(200)
                self.send_header("Content-Length", str(1 << 30))
                self.end_headers()
                for _ in range(64):
                    self.wfile.write(bytes(1 << 20))
            case "hang up":
                self.close_connection = True
                self.connection.close()
            case answer:
                self.send(200, completion(answer))

    def send(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def endpoint() -> Generator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
