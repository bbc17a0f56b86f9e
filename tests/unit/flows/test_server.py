"""A server counts as up only when our own child listens."""

import http.server
import os
import sys
import threading

import pytest

from flows.server import Server, ServerError, answers, free_port, listens, start, stop

SERVE = """
import http.server, sys
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""


def test_a_child_that_listens_and_answers_is_up_until_stopped(tmp_path):
    port = free_port()
    server = start("test", [sys.executable, "-c", SERVE, str(port)], port, "/", tmp_path, {})
    assert listens(server.pid, port)
    stop(server)
    assert not answers(server.url)


def test_a_strangers_answer_does_not_count(tmp_path):
    stranger = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=stranger.serve_forever, daemon=True)
    thread.start()
    try:
        port = stranger.server_address[1]
        assert answers(f"http://127.0.0.1:{port}/")
        with pytest.raises(ServerError, match=r"ended with code 1; its log is .*server\.log"):
            start("test", [sys.executable, "-c", SERVE, str(port)], port, "/", tmp_path, {})
    finally:
        stranger.shutdown()
        stranger.server_close()


def test_this_process_does_not_listen_on_a_free_port():
    assert not listens(os.getpid(), free_port())
    stop(Server("gone", 2**22 - 1, 1))  # no such process: nothing to do
