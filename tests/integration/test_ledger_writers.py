"""Many writers at once, some killed at any moment: no record is lost, doubled or torn, and the log never forks."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from botocore.exceptions import ClientError

from components.lineage.errors import LedgerError
from components.lineage.keys import make_key
from components.lineage.log import Ledger
from components.lineage.log_check import examine_log
from components.lineage.record import Record
from components.lineage.s3_store import S3Store
from components.lineage.store import FolderStore

ROOT = Path(__file__).parents[2]
TIMES = {"started_at": "2026-11-23T12:00:00.000Z", "ended_at": "2026-11-23T12:00:01.000Z"}
WRITER = """
import sys
from pathlib import Path
from components.lineage.keys import load_signer
from components.lineage.log import Ledger
from components.lineage.record import Record

place, key, names = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
if place.startswith("s3://"):
    from components.lineage.s3_store import S3Store as Store
else:
    from components.lineage.store import FolderStore
    Store = lambda text: FolderStore(Path(text))
ledger = Ledger(Store(place), load_signer(file=Path(key)))
times = dict(started_at="2026-11-23T12:00:00.000Z", ended_at="2026-11-23T12:00:01.000Z")
print("ready", flush=True)
sys.stdin.readline()
for name in names:
    ledger.append(Record(kind="stage", subject=name, **times), {f"patches/{name}": name.encode() * 1000})
    print(name, flush=True)
sys.stdin.read()
"""


def write(place, key, names):
    """A process that appends one record a name once told to, says each once it is kept, and waits to be let go."""
    command = [sys.executable, "-c", WRITER, str(place), str(key), ",".join(names)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def race(place, key, *, writers, each, kills, meanwhile=None):
    """Let `writers` processes append `each` records while `kills` of them are killed; the names that were kept."""
    random_ = random.Random(5)
    shared = [f"shared_{number}" for number in range(each // 5)]
    names = [[*[f"writer_{one}_{number}" for number in range(each - len(shared))], *shared] for one in range(writers)]
    for some in names:
        random_.shuffle(some)
    running = [write(place, key, some) for some in names]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    victims = random_.sample(range(writers), kills)
    for number, process in enumerate(running):
        process.stdin.write("go\n")
        process.stdin.flush()
        if number not in victims:  # who is to be killed cannot end before, however late we come
            process.stdin.close()
    said = [list[str]() for _ in running]
    for victim in victims:
        for _ in range(random_.randrange(each // 2)):
            said[victim].append(running[victim].stdout.readline().strip())
        time.sleep(random_.uniform(0, 0.01))  # somewhere within an append
        running[victim].send_signal(signal.SIGKILL)
    while meanwhile and any(process.poll() is None for process in running):
        fault = examine_log(meanwhile).fault
        assert fault is None, f"a false alarm while others write: {fault}"
    for process, names_said in zip(running, said, strict=True):
        process.stdin.close()
        with process.stdout as rest:
            names_said += rest.read().split()
    codes = Counter(process.wait() for process in running)
    assert codes == {-signal.SIGKILL: kills, 0: writers - kills}, said
    return {name for some in said for name in some}, [set(some) for some in names]


def check_race(store, signer, kept, wanted):
    """Nothing that a writer was told is kept is missing; nothing is there twice; what a killed one left is finished."""
    ledger = Ledger(store, signer)
    for name in sorted(set.union(*wanted)):  # what `easel lineage record` does after a kill
        ledger.append(Record(kind="stage", subject=name, **TIMES), {f"patches/{name}": name.encode() * 1000})
    report = examine_log(store, [signer.public_pem])
    assert report.fault is None
    subjects = Counter(record.subject for _, record in ledger.records())
    assert set(subjects.values()) == {1}
    assert kept <= set(subjects) == set.union(*wanted)
    assert report.size == len(subjects)
    return report


def test_two_hundred_appends_by_eight_processes_with_random_kills(tmp_path):
    signer = make_key(tmp_path / "key.pem")
    store = FolderStore(tmp_path / "ledger")
    kept, wanted = race(tmp_path / "ledger", tmp_path / "key.pem", writers=8, each=25, kills=5, meanwhile=store)
    before = examine_log(store, [signer.public_pem])
    assert before.fault is None
    assert kept <= {record.subject for _, record in Ledger(store).records()}
    check_race(store, signer, kept, wanted)


def test_writers_on_a_bucket_neither_lose_nor_fork(bucket, tmp_path):
    signer = make_key(tmp_path / "key.pem")
    place = "s3://pool/some/ledger"
    kept, wanted = race(place, tmp_path / "key.pem", writers=3, each=10, kills=1)
    check_race(S3Store(place), signer, kept, wanted)
    assert S3Store("s3://pool/some/ledg").names("") == []


def test_an_object_of_a_bucket_is_never_replaced(bucket):
    store = S3Store("s3://pool/one")
    assert store.create("records/a.json", b"first")
    assert not store.create("records/a.json", b"second")
    assert store.read("records/a.json") == b"first"
    assert store.read("records/b.json") is None
    assert store.names("records/") == ["records/a.json"]


def test_a_workspace_whose_settings_name_a_bucket_keeps_its_ledger_there(bucket, tmp_path, monkeypatch):
    from flows.lineage.ledger import open_ledger

    bucket.create_bucket(Bucket="kept", ObjectLockEnabledForBucket=True)
    monkeypatch.setenv("EASEL_LEDGER", "s3://kept/easel")
    monkeypatch.setenv("EASEL_LEDGER_LOCK_DAYS", "1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    ledger = open_ledger(tmp_path / "clone", to_write=True)
    entries = [ledger.append(Record(kind="stage", subject=f"stage_{number}", **TIMES)) for number in range(3)]
    again = open_ledger(tmp_path / "clone")
    assert [entry for entry, _ in again.records()] == entries
    assert again.head().size == 3
    assert examine_log(again.store).fault is None
    told = bucket.head_object(Bucket="kept", Key="easel/heads/000000000003.json")
    assert told["ObjectLockMode"] == "COMPLIANCE"
    monkeypatch.setenv("EASEL_LEDGER_LOCK_DAYS", "a month")
    with pytest.raises(ValueError, match="EASEL_LEDGER_LOCK_DAYS is 'a month'; give a number of days"):
        open_ledger(tmp_path / "clone")


@contextmanager
def store_at(handler: type[BaseHTTPRequestHandler]) -> Iterator[S3Store]:
    """A store whose server answers as `handler` does."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield S3Store("s3://pool/x", endpoint=f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()


class ForgetfulServer(BaseHTTPRequestHandler):
    """Says yes to every write, as servers do that do not know conditional ones."""

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        """Say nothing."""


def test_a_server_without_conditional_writes_is_refused(bucket):
    refused = pytest.raises(LedgerError, match="s3://pool/x: the server ignores `If-None-Match`")
    with store_at(ForgetfulServer) as store, refused:
        store.create("records/a", b"x")


class BusyServer(BaseHTTPRequestHandler):
    """Has another conditional write of the same name on its hands five times, then takes one, and no second."""

    protocol_version = "HTTP/1.1"  # so that it says when to go on, which the client waits for
    answers: ClassVar = [*[(409, "ConditionalRequestConflict")] * 5, (200, ""), (412, "PreconditionFailed")]
    asked = 0

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        status, code = self.answers[type(self).asked]
        type(self).asked += 1
        body = f"<Error><Code>{code}</Code></Error>".encode() if code else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        """Say nothing."""


def test_a_server_that_is_busy_with_the_name_is_asked_again(bucket):
    with store_at(BusyServer) as store:
        assert store.create("records/a", b"x")
    assert BusyServer.asked == len(BusyServer.answers)


def test_a_locked_object_cannot_be_deleted(bucket, tmp_path):
    bucket.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    store = S3Store("s3://locked/ledger", lock_days=30)
    signer = make_key(tmp_path / "key.pem")
    entry = Ledger(store, signer).append(Record(kind="stage", subject="one", **TIMES))
    listed = bucket.list_object_versions(Bucket="locked")["Versions"]
    assert len(listed) == 4
    for version in listed:
        with pytest.raises(ClientError, match="AccessDenied"):
            bucket.delete_object(Bucket="locked", Key=version["Key"], VersionId=version["VersionId"])
        told = bucket.head_object(Bucket="locked", Key=version["Key"])
        assert told["ObjectLockMode"] == "COMPLIANCE"
        assert told["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(days=29)
    assert json.loads(store.read("entries/000000000000.json"))["record_id"] == entry.record_id


def test_a_wrong_bucket_is_one_line(bucket):
    with pytest.raises(LedgerError, match=r"s3://nowhere/x: heads/: .*NoSuchBucket.*check bucket, credentials"):
        Ledger(S3Store("s3://nowhere/x")).head()
    with pytest.raises(LedgerError, match="names no bucket; write s3://BUCKET/PREFIX"):
        S3Store("s3:///x")
