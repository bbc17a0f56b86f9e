"""Both executors on a small workspace with real DVC, MLflow on SQLite, and one real Prefect server."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml
from mlflow.tracking import MlflowClient


def events(workspace, state):
    lines = [
        json.loads(x) for f in workspace.root.glob(".easel/runs/*/events.jsonl") for x in f.read_text().splitlines()
    ]
    return [e["stage"] for e in lines if e.get("state") == state]


def runs_by_name(workspace):
    client = MlflowClient(f"sqlite:///{workspace.root}/.easel/mlflow/mlflow.db")
    newest_first = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return {run.info.run_name: run for run in reversed(newest_first)}


def test_local_run_makes_everything_then_nothing_then_only_descendants(workspace):
    first = workspace.easel("run", "--executor", "local")
    assert "2 stages ran" in first.stdout
    assert (workspace.root / "artifacts/twice.txt").read_text() == "apple\n" * 6
    assert json.loads((workspace.root / "artifacts/metrics/second.json").read_text()) == {"characters": 36}

    lock = (workspace.root / "dvc.lock").read_bytes()
    again = workspace.easel("run", "--executor", "local")
    assert "Nothing to do" in again.stdout
    assert (workspace.root / "dvc.lock").read_bytes() == lock
    assert not (workspace.root / ".easel" / "spool").exists() or not any((workspace.root / ".easel/spool").iterdir())

    workspace.set_params("times: 3", "times: 4")
    status = json.loads(workspace.easel("status", "--json").stdout)
    assert [(row["stage"], row["stale"]) for row in status] == [("first", False), ("second", True)]
    assert any("second.times" in reason for reason in status[1]["reasons"])
    assert "1 stages ran" in workspace.easel("run", "--executor", "local").stdout
    assert events(workspace, "cached") == ["first"]

    runs = runs_by_name(workspace)
    builds = [run for name, run in runs.items() if name.startswith("build")]
    assert all(run.info.status == "FINISHED" for run in runs.values())
    assert runs["second"].data.tags["mlflow.parentRunId"] in {run.info.run_id for run in builds}
    assert runs["second"].data.metrics["stage/characters"] == 48
    assert runs["second"].data.params["times"] == "4"
    assert runs["second"].data.tags["easel.dvc.artifacts/twice.txt"].startswith("md5:")
    assert [d.dataset.name for d in runs["second"].inputs.dataset_inputs] == ["once"]
    assert any(runs["first"].info.run_id == run.data.tags.get("easel.cached.first") for run in builds)


def test_prefect_leaves_what_the_local_executor_leaves(workspace):
    workspace.easel("run", "--executor", "local")
    kept = ("dvc.lock", "artifacts/metrics/first.json", "artifacts/metrics/second.json", "artifacts/twice.txt")
    local = [(workspace.root / name).read_bytes() for name in kept]
    workspace.run("rm", "-rf", "artifacts", "dvc.lock", ".dvc/cache")
    done = workspace.easel("run")
    assert "Prefect: http://127.0.0.1:" in done.stdout
    assert "2 stages ran" in done.stdout
    assert [(workspace.root / name).read_bytes() for name in kept] == local
    serving = [p for p in psutil.process_iter(["cmdline"]) if str(workspace.root) in " ".join(p.info["cmdline"] or [])]
    assert serving == []


@pytest.mark.parametrize(
    ("fail", "said"),
    [
        ("mistake", "first: data/words.txt: line 1 is empty; write a word there"),
        ("fault", "first: RuntimeError: boom"),
        ("full", "the disk is full"),
    ],
)
def test_a_failing_stage_is_one_line_and_leaves_nothing(workspace, fail, said):
    workspace.set_params('times: 2, pause_s: 0.0, fail: ""', f"times: 2, pause_s: 0.0, fail: {fail}")
    done = workspace.easel("run", "--executor", "local", check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (workspace.root / "artifacts/once.txt").exists()
    assert not list((workspace.root / "artifacts").glob(".making-*"))
    assert runs_by_name(workspace)["first"].info.status == "FAILED"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("times: 3", "tmies: 3", "second.tmies"),
        ("times: 3", "times: many", "second.times"),
        ("second:", "secnod:", "no stage is called 'secnod'"),
    ],
)
def test_a_mistake_in_params_stops_before_anything_runs(workspace, old, new, said):
    workspace.set_params(old, new)
    done = workspace.easel("run", "--executor", "local", check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert not (workspace.root / ".easel").exists()


def test_missing_raw_data_say_how_to_get_them(workspace):
    workspace.run("rm", "-rf", "data")
    done = workspace.easel("run", "--executor", "local", check=False)
    assert done.returncode == 1
    assert "dvc pull" in done.stderr


def test_a_missing_dvc_object_is_named(workspace):
    workspace.run("rm", "-rf", "data", ".dvc/cache")
    done = workspace.easel("data", "pull", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")


def test_an_unwritable_artifacts_folder_is_one_line(workspace):
    # A file in the folder's place: works for root too, and where nothing may be mounted (see test_real_disks.py).
    (workspace.root / "artifacts").write_text("in the way")
    done = workspace.easel("run", "--executor", "local", check=False)
    assert done.returncode == 1
    assert "artifacts" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def start_slowly(workspace):
    workspace.set_params("times: 2, pause_s: 0.0", "times: 200, pause_s: 0.1")
    command = [sys.executable, "-m", "flows", "run", "--executor", "local"]
    child = subprocess.Popen(
        command,
        cwd=workspace.root,
        env=workspace.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that SIGINT can go to the whole group, as a terminal sends it
    )
    deadline = time.monotonic() + 200
    while not list(workspace.root.glob("artifacts/.making-first/once/*")):
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.05)
    return child


def wait_until(condition, limit_s=120):
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def alive_in(workspace):
    return [
        p.pid
        for p in psutil.process_iter(["environ"])
        if (p.info["environ"] or {}).get("PYTHONPATH") == str(workspace.root)
    ]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killing_a_run_at_work_loses_nothing_and_leaves_no_orphan(workspace, number):
    child = start_slowly(workspace)
    (os.killpg if number == signal.SIGINT else os.kill)(child.pid, number)
    child.wait(timeout=120)
    assert wait_until(lambda: not alive_in(workspace)), "an orphan is still at work"
    assert not (workspace.root / "artifacts/once.txt").exists()
    workspace.set_params("times: 200, pause_s: 0.1", "times: 2, pause_s: 0.0")
    assert "2 stages ran" in workspace.easel("run", "--executor", "local").stdout
    lock = yaml.safe_load((workspace.root / "dvc.lock").read_text())["stages"]
    assert set(lock) == {"first", "second"}
    assert not any(run.info.status == "RUNNING" for run in runs_by_name(workspace).values())
