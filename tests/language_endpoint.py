"""An HTTP server that answers as an OpenAI-compatible language model does, with what a test wants said."""

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Model(ThreadingHTTPServer):
    """`answer` makes the content of the reply out of the data that were sent, or is an HTTP status."""

    daemon_threads = True

    def __init__(self, answer: Callable[[dict[str, Any]], str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: Callable[[dict[str, Any]], str] | int = answer
        self.asked: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Model

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked | {"key": self.headers.get("Authorization")})
        data = json.loads(asked["messages"][1]["content"].split("<data>")[1].split("</data>")[0])
        status, answer = 200, ""
        if isinstance(self.server.answer, int):
            status = self.server.answer
        else:
            answer = self.server.answer(data)
        body = json.dumps({"choices": [{"message": {"content": answer}, "finish_reason": "stop"}]}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def answering(answer: Callable[[dict[str, Any]], str]) -> Generator[Model]:
    """A running one."""
    server = Model(answer)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
