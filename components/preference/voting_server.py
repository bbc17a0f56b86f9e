"""The page's server: the standard library's, for one annotator. On loopback without a token, elsewhere only with one.

A page of another site cannot vote: requests name this host, posts come as JSON and from this page's own address.
"""

import hmac
import json
import secrets
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlsplit

from components.preference.gallery import Picture
from components.preference.session import Session
from components.preference.votes import CHOICES
from components.preference.voting_page import PAGE

_MAX_BODY_BYTES = 10_000
_POLICY = "default-src 'none'; img-src 'self'; connect-src 'self'; style-src 'nonce-{0}'; script-src 'nonce-{0}'"
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class VotingServer(ThreadingHTTPServer):
    """Shows the session's questions at `url`; `serve_forever` runs it. Port 0 takes a free one."""

    daemon_threads = True

    def __init__(self, host: str, port: int, session: Session, pictures: Mapping[str, Picture]) -> None:
        self.session, self.pictures = session, pictures
        self.lock = threading.Lock()
        self.is_loopback = host == "localhost" or ip_address(host).is_loopback
        self.token = "" if self.is_loopback else secrets.token_urlsafe(24)
        super().__init__((host, port), _Handler)
        query = f"/?token={self.token}" if self.token else "/"
        self.url = f"http://{host}:{self.server_address[1]}{query}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away; anything else is told as usual."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: VotingServer  # pyright: ignore[reportIncompatibleVariableOverride] -- the only server it is made for
    server_version, sys_version = "easel", ""
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if not self._is_allowed():
            return
        if path == "/":
            nonce = secrets.token_urlsafe(16)
            page = PAGE.replace("NONCE", nonce).encode()
            self._send(page, "text/html; charset=utf-8", {"Content-Security-Policy": _POLICY.format(nonce)})
        elif path == "/state":
            with self.server.lock:
                self._send_state()
        elif picture := self.server.pictures.get(path.removeprefix("/image/")):
            self._send(picture.read(), picture.media_type, {"Cache-Control": "private, max-age=86400, immutable"})
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    def do_POST(self) -> None:
        if not self._is_allowed():
            return
        body = self._body()
        path = urlsplit(self.path).path
        if body is None:
            self._refuse(HTTPStatus.BAD_REQUEST, "allowed: a small JSON object from this page")
        elif path == "/undo":
            with self.server.lock:
                self.server.session.undo()
                self._send_state()
        elif path == "/vote":
            vote_id, choice = body.get("vote_id"), body.get("choice")
            if not isinstance(vote_id, str) or choice not in CHOICES:
                self._refuse(HTTPStatus.BAD_REQUEST, f"'choice' is one of {', '.join(CHOICES)}, 'vote_id' a text")
                return
            with self.server.lock:
                # A vote that came too late or twice changes nothing: the page is told how things stand.
                try:
                    self.server.session.vote(vote_id, choice)
                except OSError as error:
                    self._refuse(HTTPStatus.INSUFFICIENT_STORAGE, f"the vote could not be written: {error.strerror}")
                    return
                self._send_state()
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of requests."""

    def _is_allowed(self) -> bool:
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        if self.server.is_loopback and host not in _LOOPBACK_NAMES:
            self._refuse(HTTPStatus.FORBIDDEN, "this page is for this machine alone")
            return False
        given = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
        if self.server.token and not hmac.compare_digest(given.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "open the page by the address that was printed, with its token")
            return False
        return True

    def _body(self) -> dict[str, Any] | None:
        """What was posted, None if it is no small JSON object or comes from another site's page."""
        origin, length = self.headers.get("Origin"), self.headers.get("Content-Length", "")
        is_json = self.headers.get("Content-Type", "").split(";")[0].strip() == "application/json"
        is_ours = origin is None or urlsplit(origin).netloc == self.headers.get("Host")
        if not is_json or not is_ours or not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
            return None
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None

    def _send_state(self) -> None:
        self._send(
            json.dumps(asdict(self.server.session.state())).encode(), "application/json", {"Cache-Control": "no-store"}
        )

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True  # what was posted may lie there unread
        self._send(why.encode(), "text/plain; charset=utf-8", {"Connection": "close"}, status)

    def _send(
        self, body: bytes, media_type: str, headers: Mapping[str, str], status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        self.send_response(status)
        fixed = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}
        for name, value in {**fixed, **headers, "Content-Type": media_type, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
