"""Downloads against a real web server that lies, stalls, redirects inward, and asks not to be used."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from components.data.errors import DataError
from components.data.landing import land
from components.data.landing_ledger import read_refusals
from components.data.readers import READERS, open_reader, open_store
from components.data.readers.download import Downloader, is_public, opt_out_wish
from components.data.readers.interface import ReadLimits, RefusedError
from components.data.records import raw_parts
from tests.integration.pools import landed, picture

LIMITS = ReadLimits(max_image_bytes=200_000, max_text_bytes=1000, fetch_s=2.5)


def reasons(pool: Path) -> dict[str, str]:
    return {row["name"]: f"{row['status']} {row['reason']}" for row in read_refusals(pool).to_pylist()}


# ---- a web server


class Web(BaseHTTPRequestHandler):
    """Answers by path; every page says what it does."""

    elsewhere = ""

    def do_GET(self) -> None:
        name = self.path.strip("/").partition("?")[0]
        answer = getattr(self, f"answer_{name}", None)
        if answer:
            answer()
        else:
            self.send(200, picture(int(name)))

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        given = {"Content-Type": "image/png", "Content-Length": str(len(body))}
        for key, value in (given | {key.replace("_", "-"): value for key, value in headers.items()}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def answer_moved(self) -> None:
        self.send(302, Location="/7")

    def answer_round(self) -> None:
        self.send(302, Location="/round")

    def answer_inside(self) -> None:
        self.send(302, Location=f"http://127.0.0.2:{self.server.server_address[1]}/7")

    def answer_metadata(self) -> None:
        self.send(301, Location="http://169.254.169.254/latest/meta-data/")

    def answer_file(self) -> None:
        self.send(302, Location="file:///etc/passwd")

    def answer_named(self) -> None:
        self.send(307, Location=f"http://localhost:{self.server.server_address[1]}/7")

    def answer_wish(self) -> None:
        self.send(200, picture(1), X_Robots_Tag="nofollow, noai")

    def answer_wish_then_moved(self) -> None:
        self.send(302, X_Robots_Tag="easel: noimageindex", Location="/7")

    def answer_reserved(self) -> None:
        self.send(200, picture(1), tdm_reservation="1")

    def answer_others(self) -> None:
        self.send(200, picture(2), X_Robots_Tag="otherbot: noai, noindex")

    def answer_gone(self) -> None:
        self.send(404)

    def answer_busy(self) -> None:
        self.send(503)

    def answer_html(self) -> None:
        self.send(200, b"<html>ignore all instructions</html>", Content_Type="text/html; charset=utf-8")

    def answer_zipped(self) -> None:
        self.send(200, b"x", Content_Encoding="gzip")

    def answer_large(self) -> None:
        self.send(200, b"\x89PNG" + bytes(300_000))

    def answer_endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        while not self.wfile.closed:
            self.wfile.write(bytes(65536))

    def answer_drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(100):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.1)

    def answer_drip_head(self) -> None:
        for _ in range(100):
            self.wfile.write(b"H")
            self.wfile.flush()
            time.sleep(0.1)

    def answer_broken(self) -> None:
        self.send(200, b"short", Content_Length="5000")

    def log_message(self, format: str, *args: object) -> None:
        pass


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients hang up on pages that never end: that is what is tested


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with QuietServer(("127.0.0.1", 0), Web) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(60)


@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        ("round", "refused too_many_redirects"),
        ("inside", "refused private_address"),
        ("metadata", "refused private_address"),
        ("named", "refused private_address"),
        ("file", "refused bad_address"),
        ("wish", "opted_out noai"),
        ("wish_then_moved", "opted_out noimageindex"),
        ("reserved", "opted_out tdm-reservation"),
        ("gone", "refused http_status"),
        ("busy", "failed http_status"),
        ("html", "refused not_an_image"),
        ("zipped", "refused not_an_image"),
        ("large", "refused too_large"),
        ("endless", "refused too_large"),
        ("drip", "failed too_slow"),
        ("drip_head", "failed too_slow"),
        ("broken", "failed no_answer"),
    ],
)
def test_a_page_that_is_no_honest_image_is_refused_by_name(web: str, page: str, wanted: str) -> None:
    started = time.monotonic()
    with pytest.raises(RefusedError) as error:
        Downloader(LIMITS, ["127.0.0.1"]).fetch(f"{web}/{page}")
    refusal = error.value.refusal
    assert f"{refusal.status} {refusal.reason}" == wanted, refusal
    assert time.monotonic() - started < LIMITS.fetch_s + 6  # the slow pages take ten seconds


def test_an_honest_image_comes_as_it_is_also_after_a_redirect_or_when_others_are_asked_not_to(web: str) -> None:
    fetch = Downloader(LIMITS, ["127.0.0.1"]).fetch
    assert [fetch(f"{web}/{page}") for page in ("3", "moved", "others")] == [picture(3), picture(7), picture(2)]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "10.0.0.1"]
)
def test_no_address_of_this_network_is_asked_unless_it_is_allowed(host: str) -> None:
    with pytest.raises(RefusedError) as error:
        Downloader(LIMITS).fetch(f"http://{host}:9/1")
    assert error.value.refusal.reason == "private_address"


@pytest.mark.parametrize(
    "url", ["ftp://a.example/1", "http:///1", "http://me:secret@a.example/1", "http://", "x", "http://[/"]
)
def test_an_address_that_is_no_public_one_of_the_web_is_refused(url: str) -> None:
    with pytest.raises(RefusedError) as error:
        Downloader(LIMITS).fetch(url)
    assert (error.value.refusal.reason, error.value.refusal.status) == ("bad_address", "refused")


def test_a_name_that_changes_its_address_is_asked_at_the_one_that_was_checked(
    web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when checked, private when connected to; there is but one look-up."""
    answers = iter(["93.184.216.34", "127.0.0.1"])
    connected: list[Any] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def connect(address: Any, *_: Any, **__: Any) -> None:
        connected.append(address)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(RefusedError, match="no_answer"):
        Downloader(LIMITS).fetch("http://rebinding.example:8080/1")
    assert connected == [("93.184.216.34", 8080)]


def certificate(name: str, folder: Path) -> Path:
    """A self-signed certificate of `name` with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    file = folder / f"{name}.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(secret + made.sign(key, SHA256()).public_bytes(Encoding.PEM))
    return file


def test_over_tls_the_name_is_proved_though_the_connection_goes_to_the_checked_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, other = certificate("images.example", tmp_path), certificate("other.example", tmp_path)
    look_up = socket.getaddrinfo
    where = {"images.example": "127.0.0.1"}
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more, **named: look_up(where.get(host, host), *more, **named)
    )
    trusting = ssl.create_default_context(cafile=str(real))
    trusting.load_verify_locations(str(other))
    downloader = Downloader(LIMITS, ["images.example"], trusting)
    for shown, wanted in ((real, None), (other, "no_answer")):
        with QuietServer(("127.0.0.1", 0), Web) as server:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(shown)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"https://images.example:{server.server_address[1]}/4"
            if wanted is None:
                assert downloader.fetch(url) == picture(4)
            else:
                with pytest.raises(RefusedError, match=wanted):
                    downloader.fetch(url)
            server.shutdown()


def test_addresses_that_wrap_a_private_one_are_not_public() -> None:
    private = ["127.0.0.1", "::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "100.64.0.1", "fe80::1%eth0"]
    private += ["224.0.0.1", "169.254.169.254", "fd00::1", "0.0.0.0", "::"]
    assert not any(is_public(address) for address in private)
    assert all(is_public(address) for address in ("8.8.8.8", "2606:4700::1111"))


@pytest.mark.parametrize(
    ("value", "wish"),
    [
        ("noai", "noai"),
        ("NoImageAI", "noimageai"),
        ("max-image-preview: large, noindex", "noindex"),
        ("unavailable_after: Wed, 03 Dec 2025 13:09:53 GMT, noml", "noml"),
        ("easel: noimageindex", "noimageindex"),
        ("none", "none"),
        ("otherbot: noai", None),
        ("otherbot: nofollow, noai", None),
        ("nofollow", None),
        ("all", None),
    ],
)
def test_wishes_of_the_maker_are_read_as_robots_do(value: str, wish: str | None) -> None:
    found = opt_out_wish([(b"X-Robots-Tag", value.encode())])
    assert (found[0] if found else None) == wish


def test_a_list_of_addresses_lands_with_every_refusal_named(web: str, tmp_path: Path) -> None:
    rows = ["url,caption", *(f"{web}/{k},number {k}" for k in range(30)), f"{web}/3,again", ",no address"]
    rows += [f"{web}/wish,wished", f"{web}/busy,busy"]
    (tmp_path / "list.csv").write_text("\n".join(rows), encoding="utf-8")
    reader = READERS["urls"](open_store(str(tmp_path / "list.csv")), LIMITS, ["127.0.0.1"])
    done = land(reader, tmp_path / "pool", origin="list")
    assert landed(tmp_path / "pool") == {f"{web}/{k}": picture(k) for k in range(30)}
    assert list(landed(tmp_path / "pool")) == [f"{web}/{k}" for k in range(30)], "in the list's order"
    assert reasons(tmp_path / "pool") == {
        f"{web}/3": "repeated listed_twice",
        "list.csv#31": "refused no_address",
        f"{web}/wish": "opted_out noai",
        f"{web}/busy": "failed http_status",
    }
    assert done.num_landed == 30
    table = pq.read_table(raw_parts(tmp_path / "pool")[0]).to_pylist()
    assert (table[4]["title_en"], table[4]["attribution"]) == ("number 4", f"{web}/4")


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"url,caption\n\xff\xfe,x", "not_csv"),
        (b"name,caption\na,b", r"no column url / image_url / link \(there: name, caption\)"),
        (b'url,caption\nhttp://a/1,"never closed', "not_csv"),
        (b"", "no column url"),
    ],
)
def test_a_list_that_cannot_be_read_is_one_line(content: bytes, wanted: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(DataError, match=wanted) as error:
        land(open_reader(str(tmp_path / "list.csv")), tmp_path / "pool", origin="list")
    assert "\n" not in str(error.value)
