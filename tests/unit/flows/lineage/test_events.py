"""Live OpenLineage events: to a file, to a real server, and to servers that do not answer."""

import json
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from ledgers import sample_ledger

from components.lineage.exporters.openlineage import export_openlineage
from components.lineage.exporters.records import picture
from components.lineage.record import Record
from flows.lineage import events as lineage_events
from flows.lineage.events import teller
from flows.lineage.record_keeping import note_record
from flows.lineage.settings import openlineage_file
from flows.local import Build

ROOT = Path(__file__).parents[3]


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EASEL_LEDGER", str(tmp_path / "ledger"))
    for name in ("URL", "NAMESPACE"):
        monkeypatch.delenv(f"EASEL_OPENLINEAGE_{name}", raising=False)
    monkeypatch.setattr(lineage_events, "PATIENCE_S", 60.0)  # however slow this machine is
    build = Build(ROOT, "20261121-200000", ("ingest", "sample"), "cpu", tmp_path / "spool", "")
    build.directory.mkdir(parents=True)
    return build


def told(build):
    file = openlineage_file(build.root)
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def states(events):
    return [(event["job"]["name"], event["eventType"]) for event in events]


def remarks(build):
    file = build.directory / "events.jsonl"
    return [json.loads(line)["remark"] for line in file.read_text().splitlines()] if file.exists() else []


def wait_for(claim):
    until = time.monotonic() + 120
    while not claim():
        assert time.monotonic() < until
        time.sleep(0.02)


def closed(build, state):
    """The build ends so, and all is told, however long a busy machine takes over it."""
    thread = teller(build)._thread
    lineage_events.close(build, state)
    thread.join(60)
    assert not thread.is_alive()


class Received(list):
    """Paths, keys and events that a server took."""


@pytest.fixture
def server():
    """A real server that keeps what it is sent; `answers` are what it says first, and `asked` all that it said."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = answers.pop(0) if answers else 201
            if answer == 201:
                received.append((self.path, self.headers["Authorization"], json.loads(body)))
            asked.append(answer)
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *_):
            pass

    received, answers, asked = Received(), [], []
    received.answers, received.asked = answers, asked
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}", received
    serving.shutdown()
    serving.server_close()
    thread.join()


def test_a_start_is_told_while_the_stage_runs_and_its_end_after_it(build):
    teller(build).build_event("START")
    teller(build).begin("ingest")
    time.sleep(0.02)
    (build.directory / "ingest.log").touch()
    wait_for(lambda: ("ingest", "START") in states(told(build)))
    teller(build).end("ingest", "FAIL", "the disk is full")
    closed(build, "FAIL")
    events = told(build)
    assert states(events) == [("build", "START"), ("ingest", "START"), ("ingest", "FAIL"), ("build", "FAIL")]
    start, fail = events[1:3]
    assert start["run"]["runId"] == fail["run"]["runId"] != events[0]["run"]["runId"]
    assert start["run"]["facets"]["parent"]["run"]["runId"] == events[0]["run"]["runId"] == events[3]["run"]["runId"]
    assert fail["run"]["facets"]["errorMessage"]["message"] == "the disk is full"
    assert {one["name"] for one in fail["inputs"]} == {"data"}
    assert start["eventTime"] <= fail["eventTime"]


def test_a_stage_that_did_not_run_is_not_told_of(build):
    teller(build).begin("ingest")
    teller(build).end("ingest", "did not run")
    closed(build, "COMPLETE")
    assert states(told(build)) == [("build", "COMPLETE")]


def test_a_stage_that_was_over_at_once_is_told_of_whole(build):
    teller(build).begin("sample")
    teller(build).end("sample", "ABORT", "asked to stop")
    closed(build, "FAIL")
    assert states(told(build))[:2] == [("sample", "START"), ("sample", "ABORT")]


def test_however_little_a_server_is_waited_for_the_end_waits_for_the_file(build, monkeypatch):
    monkeypatch.setattr(lineage_events, "PATIENCE_S", 0.0)
    teller(build).begin("sample")
    teller(build).end("sample", "FAIL", "boom")
    lineage_events.close(build, "FAIL")
    assert states(told(build)) == [("sample", "START"), ("sample", "FAIL"), ("build", "FAIL")]


def test_a_recorded_stage_tells_what_the_ledger_holds(build, tmp_path):
    planted = sample_ledger(tmp_path / "ledger")
    record = planted.record("sample")
    note_record(build, "sample", record.id, is_reference=False)
    teller(build).begin("sample")
    teller(build).end("sample", "COMPLETE")
    closed(build, "COMPLETE")
    complete = told(build)[1]
    assert complete["run"]["facets"]["easel_record"]["record"] == record.id
    made = {one["facets"]["version"]["datasetVersion"] for one in complete["outputs"]}
    assert made >= {item.sha256 for item in record.outputs}
    assert {one["facets"]["version"]["datasetVersion"] for one in complete["inputs"]} == {
        item.sha256 for item in record.inputs
    }
    assert remarks(build) == []


def test_a_run_has_one_name_live_and_in_an_exported_document(build):
    teller(build).begin("sample")
    teller(build).end("sample", "FAIL", "boom")
    teller(build).begin("sample")
    teller(build).end("sample", "FAIL", "boom again")
    closed(build, "FAIL")
    live = [event["run"]["runId"] for event in told(build)]
    assert live[0] == live[1] != live[2] == live[3]
    at = "2026-11-21T20:00:00.000Z"
    record = Record(
        kind="stage", subject="sample", started_at=at, ended_at=at, place={"host": socket.gethostname()},
        systems={"build": build.name},
    )  # fmt: skip
    exported = json.loads(export_openlineage(picture([record], record.id)).splitlines()[0])
    assert exported["run"]["runId"] == live[0]
    assert exported["run"]["facets"]["parent"]["run"]["runId"] == live[4]


def test_two_workspaces_of_one_host_and_second_share_no_name(build, tmp_path, monkeypatch):
    names = []
    for namespace in ("paintings", "icons"):
        monkeypatch.setenv("EASEL_OPENLINEAGE_NAMESPACE", namespace)
        teller(build).begin("ingest")
        teller(build).end("ingest", "FAIL", "boom")
        closed(build, "FAIL")
        events = [one for one in told(build) if one["job"]["namespace"] == namespace]
        assert len(events) == 3
        spaces = {data["namespace"] for one in events for data in one["inputs"]}
        spaces |= {one["run"]["facets"]["parent"]["job"]["namespace"] for one in events[:2]}
        assert spaces == {namespace}
        names.append({one["run"]["runId"] for one in events})
    assert not names[0] & names[1]


def test_events_go_to_the_server_that_settings_name(build, server, monkeypatch):
    url, received = server
    monkeypatch.setenv("EASEL_OPENLINEAGE_URL", url)
    monkeypatch.setenv("EASEL_OPENLINEAGE_API_KEY", "secret")
    teller(build).begin("ingest")
    teller(build).end("ingest", "FAIL", "boom")
    closed(build, "FAIL")
    assert states(event for _, _, event in received) == [("ingest", "START"), ("ingest", "FAIL"), ("build", "FAIL")]
    assert {(path, key) for path, key, _ in received} == {("/api/v1/lineage", "Bearer secret")}
    assert told(build) == []
    assert all("secret" not in file.read_text() for file in build.directory.iterdir())


FAILED_ONCE = [("ingest", "START"), ("ingest", "FAIL")]


def fail_stages(build, times):
    for _ in range(times):
        teller(build).begin("ingest")
        teller(build).end("ingest", "FAIL", "boom")
    closed(build, "FAIL")


def test_what_an_unreachable_server_does_not_take_stands_in_the_file(build, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        monkeypatch.setenv("EASEL_OPENLINEAGE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        fail_stages(build, 3)
    assert states(told(build)) == [*FAILED_ONCE * 3, ("build", "FAIL")]
    assert len(remarks(build)) == 1
    assert "events go to openlineage.jsonl" in remarks(build)[0]


def test_a_server_that_stumbles_once_loses_what_it_did_not_take_and_nothing_more(build, server, monkeypatch):
    url, received = server
    monkeypatch.setenv("EASEL_OPENLINEAGE_URL", url)
    monkeypatch.setattr(lineage_events, "PAUSE_S", 0.0)
    received.answers.extend((201, 503))
    fail_stages(build, 2)
    sent = [event for _, _, event in received]
    assert states(sent) == [("ingest", "START"), *FAILED_ONCE, ("build", "FAIL")]
    assert states(told(build)) == [("ingest", "FAIL")]
    assert len(remarks(build)) == 1


def test_a_server_that_took_no_event_is_left_alone_for_a_while(build, server, monkeypatch):
    url, received = server
    monkeypatch.setenv("EASEL_OPENLINEAGE_URL", url)
    monkeypatch.setattr(lineage_events, "PAUSE_S", 3600.0)
    received.answers.append(500)
    fail_stages(build, 3)
    assert received.asked == [500]
    assert len(states(told(build))) == 7


def test_no_remark_and_no_event_names_a_password_a_key_or_a_folder_of_this_machine(build, server, monkeypatch):
    url, received = server
    monkeypatch.setenv("HOME", "/home/ann")
    address = url.replace("http://", "http://ann:sesame@")
    monkeypatch.setenv("EASEL_OPENLINEAGE_URL", address)
    monkeypatch.setenv("EASEL_OPENLINEAGE_API_KEY", "open-sesame")
    received.answers.append(500)
    teller(build).begin("ingest")
    teller(build).end("ingest", "FAIL", f"its log is {build.root}/.easel/1.log, not {Path.home()}/2.log")
    closed(build, "FAIL")
    (remark,) = remarks(build)
    assert "500" in remark
    text = remark + openlineage_file(build.root).read_text() + json.dumps([one for _, _, one in received])
    assert "its log is .easel/1.log, not ~/2.log" in text
    assert not [word for word in ("sesame", "ann:", f"{build.root}/", f"{Path.home()}/") if word in text]


def test_a_server_that_never_answers_delays_nothing_but_the_end_and_that_by_little(build, monkeypatch):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)
        monkeypatch.setenv("EASEL_OPENLINEAGE_URL", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        teller(build).begin("ingest")
        teller(build).end("ingest", "FAIL", "boom")
        asking, _ = deaf.accept()
        with asking:  # from here on the answer is waited for, a minute long
            for _ in range(100):
                teller(build).begin("ingest")
                teller(build).end("ingest", "FAIL", "boom")
            monkeypatch.setattr(lineage_events, "PATIENCE_S", 0.1)
            lineage_events.close(build, "FAIL")
            assert remarks(build) == []  # all of that was over before the waiting was
    wait_for(lambda: remarks(build))
    assert len(remarks(build)) == 1


@pytest.mark.parametrize("address", ["no address", "http://", "ftp://127.0.0.1:1"])
def test_an_address_that_is_none_is_one_remark(build, monkeypatch, address):
    monkeypatch.setenv("EASEL_OPENLINEAGE_URL", address)
    closed(build, "COMPLETE")
    assert len(remarks(build)) == 1


def test_a_place_that_cannot_be_written_is_one_remark(build):
    openlineage_file(build.root).mkdir(parents=True)
    teller(build).build_event("START")
    closed(build, "COMPLETE")
    assert len(remarks(build)) == 1
