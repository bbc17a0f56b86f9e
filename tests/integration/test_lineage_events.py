"""OpenLineage events of real builds: what ran is told, what was fresh is not, and no server can stop a build."""

import json
import shutil
import subprocess
import sys

import pytest
from conftest import Workspace


def told(workspace):
    file = workspace.root / ".easel" / "openlineage.jsonl"
    events = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [(event["job"]["name"], event["eventType"]) for event in events], events


def run(workspace, **settings):
    command = [sys.executable, "-m", "flows", "run", "--executor", "local"]
    environment = {**workspace.environment, **settings}
    return subprocess.run(
        command, cwd=workspace.root, env=environment, capture_output=True, text=True, check=False, timeout=200
    )


@pytest.fixture(scope="module")
def first_built(first_workspace, tmp_path_factory):
    """A workspace after its first build; to be read, or copied."""
    root = tmp_path_factory.mktemp("built") / "small"
    shutil.copytree(first_workspace.root, root)
    assert run(Workspace(root)).returncode == 0
    return Workspace(root)


def test_a_build_is_told_stage_by_stage(first_built):
    states, events = told(first_built)
    whole = [("first", "START"), ("first", "COMPLETE"), ("second", "START"), ("second", "COMPLETE")]
    assert states == [("build", "START"), *whole, ("build", "COMPLETE")]
    assert [event["eventTime"] for event in events] == sorted(event["eventTime"] for event in events)
    complete = events[4]
    assert {one["name"] for one in complete["outputs"]} >= {"artifacts/twice.txt"}
    digests = [one["facets"]["version"]["datasetVersion"] for one in complete["inputs"]]
    made = [one["facets"]["version"]["datasetVersion"] for one in events[2]["outputs"]]
    assert set(digests) <= set(made)


def test_a_build_without_its_server_succeeds_and_one_that_fails_says_so_of_what_ran(first_built, tmp_path):
    shutil.copytree(first_built.root, tmp_path / "small")
    workspace = Workspace(tmp_path / "small")
    before, _ = told(workspace)
    workspace.set_params("second: {times: 3", "second: {times: 4")
    done = run(workspace, EASEL_OPENLINEAGE_URL="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert "1 stages ran" in done.stdout
    rebuilt = [("build", "START"), ("second", "START"), ("second", "COMPLETE"), ("build", "COMPLETE")]
    before += rebuilt  # no server took them: they stand in the file
    assert told(workspace)[0] == before
    assert (done.stdout + done.stderr).count("while their server does not take them") == 1

    workspace.set_params(
        'second: {times: 4, pause_s: 0.0, fail: ""}', 'second: {times: 4, pause_s: 0.0, fail: "fault"}'
    )
    assert run(workspace).returncode != 0
    states, events = told(workspace)
    failed = [("build", "START"), ("second", "START"), ("second", "FAIL"), ("build", "FAIL")]
    assert states == [*before, *failed]  # nothing of `first`, which was fresh
    assert "boom" in events[-2]["run"]["facets"]["errorMessage"]["message"]
