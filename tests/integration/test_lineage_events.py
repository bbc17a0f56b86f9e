"""OpenLineage events of real builds: what ran is told, what was fresh is not, and no server can stop a build."""

import json
import subprocess
import sys

import pytest


def told(workspace):
    file = workspace.root / ".easel" / "openlineage.jsonl"
    events = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [(event["job"]["name"], event["eventType"]) for event in events], events


@pytest.fixture
def private(workspace, tmp_path, monkeypatch):
    """The workspace, with its keys in a place of the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return workspace


def run(workspace, **settings):
    command = [sys.executable, "-m", "flows", "run", "--executor", "local"]
    environment = {**workspace.environment, **settings}
    return subprocess.run(
        command, cwd=workspace.root, env=environment, capture_output=True, text=True, check=False, timeout=200
    )


def test_a_build_is_told_stage_by_stage_and_only_what_runs(private):
    assert run(private).returncode == 0
    first, events = told(private)
    whole = [("first", "START"), ("first", "COMPLETE"), ("second", "START"), ("second", "COMPLETE")]
    assert first == [("build", "START"), *whole, ("build", "COMPLETE")]
    assert [event["eventTime"] for event in events] == sorted(event["eventTime"] for event in events)
    complete = events[4]
    assert {one["name"] for one in complete["outputs"]} >= {"artifacts/twice.txt"}
    digests = [one["facets"]["version"]["datasetVersion"] for one in complete["inputs"]]
    made = [one["facets"]["version"]["datasetVersion"] for one in events[2]["outputs"]]
    assert set(digests) <= set(made)

    private.set_params("second: {times: 3", "second: {times: 4")
    assert run(private).returncode == 0
    second, _ = told(private)
    assert second[len(first) :] == [
        ("build", "START"), ("second", "START"), ("second", "COMPLETE"), ("build", "COMPLETE"),
    ]  # fmt: skip


def test_a_build_that_fails_says_so_and_one_without_its_server_succeeds(private):
    unreachable = {"EASEL_OPENLINEAGE_URL": "http://127.0.0.1:9"}
    done = run(private, **unreachable)
    assert done.returncode == 0, done.stderr
    assert told(private)[0] == []
    assert (done.stdout + done.stderr).count("no longer told") == 1

    private.set_params('second: {times: 3, pause_s: 0.0, fail: ""}', 'second: {times: 3, pause_s: 0.0, fail: "fault"}')
    assert run(private).returncode != 0
    states, events = told(private)
    assert states == [("build", "START"), ("second", "START"), ("second", "FAIL"), ("build", "FAIL")]
    assert "boom" in events[2]["run"]["facets"]["errorMessage"]["message"]
