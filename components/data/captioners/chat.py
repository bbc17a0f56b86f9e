"""Questions to a language model behind an OpenAI-compatible endpoint, and its answers as they came.

The network, the service and the model are all expected to fail: every request has a deadline, a size limit and a rate;
what may pass is tried again after a growing, jittered pause. The key is sent and never stored.
"""

import json
import random
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import httpx

from components.data.captioners.interface import ModelReason
from components.data.config import ChatEndpoint
from components.data.errors import DataError

_MAX_REPLY_BYTES = 1 << 20
_MAX_COUNT = 1 << 31
_MAX_PAUSE_S = 60.0
_WRONG_SETTING = {401: "set {key}", 403: "check {key}", 404: "check {block}.url and model"}


@dataclass(frozen=True)
class Reply:
    """What the endpoint said, whether its tokens ran out, and what it counted."""

    answer: str
    is_cut_off: bool
    prompt_tokens: int
    completion_tokens: int


class RequestFailedError(Exception):
    """One attempt that brought no answer; `pause_s` is what the server asked to wait, `is_final` forbids a retry."""

    def __init__(self, reason: ModelReason, pause_s: float = 0.0, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason: ModelReason = reason
        self.pause_s = pause_s
        self.is_final = is_final


class Chat:
    """A conversation of single questions with `service`; may be asked by several threads while it is open.

    `num_attempts` counts requests sent. `block` names the parameters and `key` the variable that a person can mend.
    """

    def __init__(self, service: ChatEndpoint, api_key: str, *, block: str, key: str) -> None:
        self.num_attempts = 0
        self._service, self._names = service, {"block": block, "key": key}
        self._headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
        self._pace = _Pace(service.requests_per_s)
        self._stopped, self._lock = threading.Event(), threading.Lock()
        self._jitter = random.Random(0)
        self._client: httpx.Client | None = None

    @contextmanager
    def open(self) -> Generator["Chat"]:
        """Connections are kept while this is open."""
        # No proxy and no netrc from the environment: the request goes where params.yaml says, with no other key.
        with httpx.Client(timeout=self._service.timeout_s, trust_env=False, headers=self._headers) as client:
            self._client = client
            yield self

    def stop(self) -> None:
        """Let nobody wait for another attempt."""
        self._stopped.set()

    def ask(self, question: dict[str, Any]) -> Reply:
        """The endpoint's answer, after as many attempts as allowed; RequestFailedError says why there is none."""
        body = json.dumps(question).encode()
        for attempt in range(1, self._service.max_attempts + 1):
            self._pace.wait(self._stopped)
            try:
                return self._attempt(body)
            except RequestFailedError as failed:
                if failed.is_final or attempt == self._service.max_attempts or self._stopped.is_set():
                    raise
                backoff = min(self._service.backoff_s * 2 ** (attempt - 1), _MAX_PAUSE_S)
                self._stopped.wait(max(failed.pause_s, backoff * self._jitter.uniform(0.5, 1.5)))
        raise AssertionError("max_attempts is at least 1")

    def _attempt(self, body: bytes) -> Reply:
        if self._client is None:
            raise AssertionError("ask inside open()")
        with self._lock:
            self.num_attempts += 1
        url = f"{self._service.url.rstrip('/')}/chat/completions"
        deadline = time.monotonic() + self._service.timeout_s
        kind = {"Content-Type": "application/json"}
        try:
            with self._client.stream("POST", url, content=body, headers=kind) as response:
                self._check_status(response)
                return _reply(_read(response, deadline))
        except (httpx.TimeoutException, TimeoutError) as error:
            raise RequestFailedError("timeout") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RequestFailedError("unreachable") from error

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in _WRONG_SETTING:
            raise DataError(f"{self._service.url}: answers {status}; {_WRONG_SETTING[status].format(**self._names)}")
        if status == 429:
            raise RequestFailedError("http_429", _retry_after(response))
        if status >= 500:
            raise RequestFailedError("http_5xx", _retry_after(response))
        if status >= 400:
            raise RequestFailedError("http_4xx", is_final=True)
        if status != 200:
            raise RequestFailedError("wrong_reply", is_final=True)


class _Pace:
    """Lets at most so many requests a second through, evenly."""

    def __init__(self, requests_per_s: float) -> None:
        self._interval_s, self._next, self._lock = 1 / requests_per_s, 0.0, threading.Lock()

    def wait(self, stopped: threading.Event) -> None:
        """Return when it is this caller's turn, or when all is stopped."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval_s
        stopped.wait(turn - now)


def _retry_after(response: httpx.Response) -> float:
    seconds = response.headers.get("Retry-After", "")
    return min(float(seconds), _MAX_PAUSE_S) if seconds.isascii() and seconds.isdigit() else 0.0


def _read(response: httpx.Response, deadline: float) -> bytes:
    """The body, within the deadline and the size limit; a server may send a byte a second, or a gigabyte."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise RequestFailedError("wrong_reply")
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > _MAX_REPLY_BYTES:
            raise RequestFailedError("wrong_reply")
        if time.monotonic() > deadline:
            raise RequestFailedError("timeout")
    return bytes(body)


def _reply(body: bytes) -> Reply:
    """The answer in a chat completion; RequestFailedError says what else it was."""
    if body.lstrip()[:1] == b"<":
        raise RequestFailedError("html")
    try:
        found = json.loads(body)
        choice = found["choices"][0]
        answer, usage = choice["message"]["content"], found.get("usage") or {}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RequestFailedError("wrong_reply") from error
    if not isinstance(answer, str):
        raise RequestFailedError("wrong_reply")
    # JSON may hold halves of characters, which no UTF-8 can: they become U+FFFD, which no caption may hold.
    whole = answer.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return Reply(
        whole,
        choice.get("finish_reason") == "length",
        *(_count(usage, name) for name in ("prompt_tokens", "completion_tokens")),
    )


def _count(usage: Any, name: str) -> int:
    count = cast(dict[str, Any], usage).get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and 0 <= count <= _MAX_COUNT else 0
