"""What several integration tests need: a server that speaks S3, and a workspace to take images down from."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.integration.takedown_pool import first_pool, planted, pool  # noqa: F401 - fixtures of two modules

SERVER = """
import sys, threading
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

app, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()

def serve(environ, respond):
    if "HTTP_IF_NONE_MATCH" not in environ:
        return app(environ, respond)
    with turn:  # moto looks and writes in two steps, between which another may come; S3 does it in one
        return app(environ, respond)

run_simple("127.0.0.1", int(sys.argv[1]), serve, threaded=True, request_handler=MotoRequestHandler)
"""


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server process that speaks S3, and a client that fills it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("s3") / "log").open("wb")
    command = [sys.executable, "-c", SERVER, str(port)]
    with pytest.MonkeyPatch.context() as patch, log:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "us-east-1"}.items():
            patch.setenv(f"AWS_{name}", value)
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            end = time.monotonic() + 120
            while not _listens(port):
                assert server.poll() is None, "the server ended; its log says why"
                assert time.monotonic() < end
                time.sleep(0.1)
            client = boto3.client("s3")
            client.create_bucket(Bucket="pool")
            yield client
        finally:
            server.terminate()
            server.wait(60)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
