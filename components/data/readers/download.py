"""One image from the web, safely: the address that was checked is the address that is connected to.

A name is resolved once, every address it has must be a public one, and the connection goes to the first of them, so a
name that changes its mind meanwhile (DNS rebinding) gains nothing; the same holds for every redirect. A download has a
limit of bytes and of seconds over all redirects, and a slow sender cannot stretch it; the wait for a host's turn is
outside of it. No proxy and no cookies are used.

Makers who ask not to be taken for training are heeded: `X-Robots-Tag` with noai, noimageai, noindex, noimageindex, noml
or none, to all robots or to ours, on any response of the chain, and `tdm-reservation: 1`.
"""

import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore

from components.data.readers.hosts import HostTurns
from components.data.readers.interface import ReadLimits, RefusedError, too_large

ROBOT = "easel"
OPT_OUT = frozenset({"noai", "noimageai", "noindex", "noimageindex", "noml", "none"})
_HEADERS = {"User-Agent": f"{ROBOT}/0.1 (image data sets)", "Accept": "image/*", "Accept-Encoding": "identity"}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
_SCOPE = re.compile(r"^\s*([A-Za-z][\w-]*)\s*:(.*)$", re.DOTALL)
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Headers = Sequence[tuple[bytes, bytes]]


class Downloader:
    """Fetches images below `limits`; may be asked by several threads, of which each host sees only as many as allowed.

    `allowed_private_hosts` are names that may be of this network (for tests).
    """

    def __init__(
        self, limits: ReadLimits, allowed_private_hosts: Collection[str] = (), context: ssl.SSLContext | None = None
    ) -> None:
        self._limits, self._allowed = limits, allowed_private_hosts
        self._context = context or ssl.create_default_context()
        self._turns = HostTurns(limits.host_requests_per_s, limits.host_at_once)

    def fetch(self, url: str) -> bytes:
        """The bytes behind `url`; RefusedError says why there are none, and whether to ask again."""
        at, left_s = url, self._limits.fetch_s
        for _ in range(self._limits.max_redirects + 1):
            with self._turns.turn(_checked_host(url, at)):
                begun = time.monotonic()
                found = self._get(url, at, begun + left_s)
                left_s -= time.monotonic() - begun
            if isinstance(found, bytes):
                return found
            at = urljoin(at, found)
        raise RefusedError(url, "too_many_redirects", f"more than {self._limits.max_redirects}")

    def _get(self, url: str, at: str, deadline: float) -> bytes | str:
        """The bytes at `at`, or where it redirects to."""
        backend = _CheckedBackend(url, deadline, self._allowed)
        # A pool per request: a connection that is kept would outlive the check of its address.
        with httpcore.ConnectionPool(ssl_context=self._context, network_backend=backend) as pool:
            try:
                with pool.stream("GET", at, headers=list(_HEADERS.items())) as response:
                    return self._read(url, response)
            except (httpcore.TimeoutException, TimeoutError):
                raise RefusedError(url, "too_slow", f"not here in {self._limits.fetch_s:g} s", "failed") from None
            except (httpcore.NetworkError, httpcore.ProtocolError) as error:
                raise RefusedError(url, "no_answer", str(error) or type(error).__name__, "failed") from None
            except (httpcore.UnsupportedProtocol, UnicodeError, ValueError) as error:
                raise RefusedError(url, "bad_address", str(error)) from None

    def _read(self, url: str, response: httpcore.Response) -> bytes | str:
        wish = opt_out_wish(response.headers)
        if wish:
            raise RefusedError(url, *wish, "opted_out")
        if response.status in _REDIRECTS:
            return _header(response.headers, "location")
        if response.status != 200:
            is_passing = response.status >= 500 or response.status in _PASSING
            raise RefusedError(url, "http_status", str(response.status), "failed" if is_passing else "refused")
        kind = _header(response.headers, "content-type").split(";")[0].strip().lower()
        if kind and not kind.startswith("image/") and not kind.endswith("/octet-stream"):
            raise RefusedError(url, "not_an_image", f"sent as {kind}")
        if _header(response.headers, "content-encoding") not in ("", "identity"):
            raise RefusedError(url, "not_an_image", "sent compressed, though it was not asked for so")
        return self._body(url, response)

    def _body(self, url: str, response: httpcore.Response) -> bytes:
        parts, num_bytes = list[bytes](), 0
        for part in response.iter_stream():
            num_bytes += len(part)
            if num_bytes > self._limits.max_image_bytes:
                raise too_large(url, num_bytes, self._limits.max_image_bytes)
            parts.append(part)
        return b"".join(parts)


def opt_out_wish(headers: Headers) -> tuple[str, str] | None:
    """The directive that asks not to be used, and the header that says so; None if there is none for us."""
    for value in _values(headers, "x-robots-tag"):
        scope = ""
        for part in value.split(","):
            found = _SCOPE.match(part)
            if found and found[1].lower() in _VALUED:
                continue
            scope, part = (found[1].lower(), found[2]) if found else (scope, part)
            if scope in ("", ROBOT) and part.strip().lower() in OPT_OUT:
                return part.strip().lower(), f"X-Robots-Tag: {value}"
    if any(value.strip() == "1" for value in _values(headers, "tdm-reservation")):
        return "tdm-reservation", "tdm-reservation: 1"
    return None


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also where it wraps an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if wrapped is not None:
            ip = wrapped
    return ip.is_global and not ip.is_multicast


class _CheckedBackend(httpcore.NetworkBackend):
    """Connects to public addresses only, and to the very address that it checked; every wait ends at the deadline."""

    def __init__(self, url: str, deadline: float, allowed_private_hosts: Collection[str]) -> None:
        self._url, self._deadline, self._allowed = url, deadline, allowed_private_hosts
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        address = self._resolved(host, port)
        stream = self._plain.connect_tcp(address, port, _left(self._deadline), local_address, socket_options)
        return _Hurried(stream, self._deadline)

    def _resolved(self, host: str, port: int) -> str:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise RefusedError(self._url, "no_answer", f"{host}: {error.strerror}", "failed") from None
        addresses = [str(entry[4][0]) for entry in found]
        private = [address for address in addresses if not is_public(address)]
        if private and host not in self._allowed:
            detail = f"{host} is {private[0]}, which is not an address of the public internet"
            raise RefusedError(self._url, "private_address", detail)
        return addresses[0]


class _Hurried(httpcore.NetworkStream):
    """A connection whose every wait ends at the deadline, however slowly bytes drip in."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _Hurried(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _checked_host(url: str, at: str) -> str:
    """The name of the host at `at`, an address that may be asked."""
    try:
        parts = urlsplit(at)
    except ValueError as error:
        raise RefusedError(url, "bad_address", str(error)) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RefusedError(url, "bad_address", f"{at[:80]}: must begin with http:// or https:// and a host")
    if parts.username or parts.password:
        raise RefusedError(url, "bad_address", "holds a user name; such images are not public")
    return parts.hostname.lower().rstrip(".")


def _values(headers: Headers, name: str) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key.decode("latin-1").lower() == name]


def _header(headers: Headers, name: str) -> str:
    return next(iter(_values(headers, name)), "")
