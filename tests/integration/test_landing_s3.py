"""Landing from a real S3 server: what is there, what changes meanwhile, and connections that break off."""

import contextlib
import io
import socket
import socketserver
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.errors import DataError
from components.data.landing import land
from components.data.readers import READERS, open_reader
from components.data.readers.interface import Item, Outcome, ReadLimits
from components.data.readers.s3 import S3Store
from tests.integration.pools import files, landed, member, picture, reasons, rows_of

LIMITS = ReadLimits(max_image_bytes=200_000, max_text_bytes=1000)


def put(client: Any, key: str, data: bytes) -> None:
    client.put_object(Bucket="pool", Key=key, Body=data)


def test_a_bucket_lands_page_by_page_and_only_what_is_new(bucket: Any, tmp_path: Path) -> None:
    for number in range(12):
        put(bucket, f"many/{number % 3}/{number:02d}.png", picture(number))
        put(bucket, f"many/{number % 3}/{number:02d}.txt", f"number {number}".encode())
    put(bucket, "many2/other.png", picture(99))
    put(bucket, "many/odd name+%20 红.png", picture(12))
    put(bucket, "many/.hidden.png", picture(99))
    store = S3Store("s3://pool/many", page_size=5)
    assert len(list(store.listing())) == 25
    land(READERS["folder"](store, LIMITS, ()), tmp_path / "p", origin="x")
    assert landed(tmp_path / "p") == {f"{k % 3}/{k:02d}.png": picture(k) for k in range(12)} | {
        "odd name+%20 红.png": picture(12)
    }
    assert {row["title_en"] for row in rows_of(tmp_path / "p")} == {f"number {k}" for k in range(12)} | {None}
    put(bucket, "many/new.png", picture(50))
    before = files(tmp_path / "p")
    again = land(open_reader("s3://pool/many/", "folder"), tmp_path / "p", origin="x")
    assert (again.num_landed, again.num_known) == (1, 13)
    assert before.items() <= files(tmp_path / "p").items()


@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_a_shard_in_a_bucket_is_read_in_ranges(
    bucket: Any, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = tmp_path / ("a.tar" if kind == "webdataset" else "a.parquet")
    pictures = [picture(k, 100) for k in range(20)]
    if kind == "webdataset":
        with tarfile.open(local, "w") as tar:
            for number, data in enumerate(pictures):
                member(tar, f"{number:02d}.png", data)
    else:
        pq.write_table(pa.table({"image": pictures}), local, row_group_size=4, compression="none")
    put(bucket, f"{kind}/{local.name}", local.read_bytes())
    monkeypatch.setattr("components.data.readers.s3._RANGE_BYTES", 1 << 15)
    spans: list[int] = []
    fetch = S3Store._range
    monkeypatch.setattr(S3Store, "_range", lambda *a: (spans.append(a[3] - a[2]), fetch(*a))[1])
    land(open_reader(f"s3://pool/{kind}"), tmp_path / "from s3", origin="x")
    land(open_reader(str(local)), tmp_path / "from disk", origin="x")
    assert list(landed(tmp_path / "from s3").values()) == list(landed(tmp_path / "from disk").values()) == pictures
    assert len(spans) > 10
    assert max(spans) < local.stat().st_size / 4


def test_an_object_that_changes_or_vanishes_midway_is_refused_and_asked_again(bucket: Any, tmp_path: Path) -> None:
    for number in range(3):
        put(bucket, f"moving/{number}.png", picture(number))

    class Moving:
        """The reader, with something happening between the listing and the reading."""

        num_at_once = 1

        def __init__(self, happens: Callable[[], None]) -> None:
            self.reader, self.happens = open_reader("s3://pool/moving", "folder"), happens

        def listing(self) -> Iterator[Item]:
            yield from list(self.reader.listing())

        def rows(self, item: Item) -> Iterator[Outcome]:
            self.happens()
            return self.reader.rows(item)

    def changes() -> None:
        put(bucket, "moving/1.png", picture(11))
        bucket.delete_object(Bucket="pool", Key="moving/2.png")

    land(Moving(changes), tmp_path / "p", origin="x")
    assert landed(tmp_path / "p") == {"0.png": picture(0)}
    assert reasons(tmp_path / "p") == {"1.png": "changed_midway", "2.png": "vanished"}
    land(open_reader("s3://pool/moving", "folder"), tmp_path / "p", origin="x")
    assert landed(tmp_path / "p") == {"0.png": picture(0), "1.png": picture(11)}


def test_a_large_object_that_changes_between_two_ranges_is_never_put_together(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.data.readers.s3._RANGE_BYTES", 1 << 12)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(9):
            member(tar, f"{number}.png", picture(number, 30))
    put(bucket, "large/a.tar", out.getvalue())
    reader = open_reader("s3://pool/large")
    (item,) = reader.listing()
    rows = reader.rows(item)
    first = next(rows)
    put(bucket, "large/a.tar", out.getvalue()[::-1])
    with pytest.raises(Exception, match="changed_midway"):
        list(rows)
    assert first.image == picture(0, 30)


def test_a_connection_that_breaks_off_midway_is_tried_again(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between us and the server stands a relay that cuts its first connections after some bytes."""
    upstream = bucket.meta.endpoint_url.rpartition(":")[2]
    cuts = [True] * 2

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", int(upstream))) as server:
                threading.Thread(target=self.forward, args=(server,), daemon=True).start()
                num_bytes = 0
                while data := server.recv(1000):
                    num_bytes += len(data)
                    if num_bytes > 20_000 and cuts:
                        cuts.pop()
                        return
                    self.request.sendall(data)

        def forward(self, server: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := self.request.recv(65536):
                    server.sendall(data)

    put(bucket, "breaking/a.png", picture(1, 120))
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as relay:
        relay.daemon_threads = True
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{relay.server_address[1]}")
        land(open_reader("s3://pool/breaking"), tmp_path / "p", origin="x")
        relay.shutdown()
    assert not cuts
    assert landed(tmp_path / "p") == {"a.png": picture(1, 120)}


def test_a_bucket_that_is_not_there_is_one_line(bucket: Any, tmp_path: Path) -> None:
    for place, wanted in (
        ("s3://absent/x", "s3://absent/x: cannot be listed .*check name, credentials and endpoint"),
        ("s3:///x", "names no bucket"),
        ("s3://pool/nothing-here", "holds no known files"),
    ):
        with pytest.raises(DataError, match=wanted) as error:
            land(open_reader(place), tmp_path / "p", origin=place)
        assert "\n" not in str(error.value)
