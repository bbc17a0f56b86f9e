"""A stage in two real processes that talk through gloo: as one it succeeds, fails, stops, and continues."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from mlflow.tracking import MlflowClient

STAGE = '''"""A training in small: its state is a sum over all ranks and steps, kept in checkpoints."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel


class Params(BaseModel, frozen=True, extra="forbid"):
    num_steps: int
    pause_s: float
    fail: str


@dataclass(frozen=True)
class Metrics:
    total: int
    continued_at: int


def together(p: Params, *, words: Path, total: Path) -> Metrics:
    """Sum over ranks and steps."""
    import psutil
    import torch
    from torch import distributed

    from components.tracking import current_run
    from components.training.checkpoint_store import current_checkpoints
    from components.training.preemption import PreemptedError, StopRequest
    from flows.settings import current_rank, num_ranks

    rank = current_rank()
    is_ours = "EASEL_MEETING" in os.environ
    distributed.init_process_group("gloo")
    assert distributed.get_world_size() == num_ranks() == 2
    listening = {c.laddr.ip for c in psutil.Process().net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert listening <= {"127.0.0.1"} or not is_ours, listening
    store, request = current_checkpoints(), StopRequest()
    found = store.latest()
    start, state = (found.images_seen, found.facts["state"]) if found else (0, 0)
    with request.listening():
        for step in range(start, p.num_steps):
            if p.fail and rank == 1 and step == 2:
                raise ValueError("data/words.txt: line 1 is empty; write a word there")
            both = torch.tensor([(rank + 1) * step, int(request.is_asked)])
            distributed.all_reduce(both)
            state += int(both[0])
            current_run().log_metrics({"state": state}, step=step)
            folder = store.begin(step + 1)
            (folder / f"{rank}.txt").write_text(str(rank))
            store.leave_receipt(folder, rank, [folder / f"{rank}.txt"])
            if rank == 0:
                store.commit(folder, step + 1, {"state": state}, num_ranks=2)
            if both[1]:
                raise PreemptedError(step + 1)
            time.sleep(p.pause_s)
            while step == 29 and Path("hold").exists() and not request.is_asked:
                time.sleep(0.05)  # until the test that kills it has done so, however slow the machine is
    if rank == 0:
        total.write_text(str(state))
    distributed.destroy_process_group()
    return Metrics(total=state, continued_at=start) if rank == 0 else Metrics(total=-1, continued_at=-1)
'''
PIPELINE = '''"""One stage."""

from flows.declaration import Artifact, Pipeline, Stage
from flows.stages.together import together

TOGETHER = Stage(together, {"words": Artifact("data")}, {"total": "artifacts/total.txt"}, distributed=True)
PIPELINE = Pipeline(TOGETHER)
'''
PARAMS = 'together: {num_steps: 40, pause_s: 0.1, fail: ""}\n'
TOTAL = 3 * 40 * 39 // 2


@pytest.fixture
def pair(workspace):
    """The workspace with one stage, which runs in two processes."""
    (workspace.root / "flows" / "stages" / "together.py").write_text(STAGE)
    (workspace.root / "flows" / "pipeline.py").write_text(PIPELINE)
    (workspace.root / "params.yaml").write_text(PARAMS)
    (workspace.root / "infra" / "profiles" / "pair.yaml").write_text(
        "accelerator: cpu\nthreads: 1\ndevices: 2\nstrategy: ddp\n"
    )
    workspace.easel("sync")
    return workspace


RUN = ("run", "--executor", "local", "--profile", "pair")


def start(pair):
    return subprocess.Popen(
        [sys.executable, "-m", "flows", *RUN],
        cwd=pair.root, env=pair.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def wait_until(condition, limit_s=120):
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def latest(pair):
    return list(pair.root.glob(".easel/checkpoints/together/*/latest"))


def alive_in(pair):
    found = psutil.process_iter(["environ"])
    return [p.pid for p in found if (p.info["environ"] or {}).get("PYTHONPATH") == str(pair.root)]


def test_a_stage_in_two_processes_stops_on_request_and_goes_on_from_there(pair):
    hold = pair.root / "hold"
    hold.touch()
    stopped = start(pair)
    assert wait_until(lambda: latest(pair)), "no checkpoint was written"
    os.kill(stopped.pid, signal.SIGTERM)
    error = stopped.communicate(timeout=120)[1]
    assert stopped.returncode == 75, error
    assert "stopped on request after" in error
    assert len(error.strip().splitlines()) == 1
    assert not alive_in(pair)
    assert not (pair.root / "artifacts" / "total.txt").exists()

    before = latest(pair)[0].read_text()
    killed = start(pair)
    assert wait_until(lambda: latest(pair)[0].read_text() > before)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(60)
    assert wait_until(lambda: not alive_in(pair)), "an orphan is still at work"
    killed.communicate(timeout=60)  # who still held its standard error would be an orphan too
    done = int(latest(pair)[0].read_text().strip().removeprefix("images-"))
    assert 0 < done < 40

    hold.unlink()
    said = pair.easel(*RUN).stdout
    assert f"together: goes on from checkpoint images-{done:012d}" in said
    assert "1 stages ran" in said
    metrics = json.loads((pair.root / "artifacts/metrics/together.json").read_text())
    assert metrics == {"total": TOTAL, "continued_at": done}
    assert (pair.root / "artifacts/total.txt").read_text() == str(TOTAL)
    assert not latest(pair)
    client = MlflowClient(f"sqlite:///{pair.root}/.easel/mlflow/mlflow.db")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()], "tags.easel.stage = 'together'")
    assert runs[0].info.status == "FINISHED"
    curve = client.get_metric_history(runs[0].info.run_id, "state")
    assert [point.step for point in curve] == list(range(done, 40))  # of one rank, not of two


def test_ranks_that_torchrun_started_do_the_same(pair):
    (pair.root / "infra" / "profiles" / "pair.yaml").write_text(
        "accelerator: cpu\nthreads: 1\ndevices: 1\nnum_nodes: 2\nstrategy: ddp\nlauncher: external\n"
    )
    pair.set_params("pause_s: 0.1", "pause_s: 0.0")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--module")
    pair.run("env", "EASEL_PROFILE=pair", sys.executable, *torchrun, "flows", "stage", "together")
    assert (pair.root / "artifacts/total.txt").read_text() == str(TOTAL)
    client = MlflowClient(f"sqlite:///{pair.root}/.easel/mlflow/mlflow.db")
    (run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert run.data.metrics["stage/total"] == TOTAL


def test_a_mistake_in_one_rank_is_the_same_one_line_as_in_one_process(pair):
    pair.set_params('fail: ""', "fail: mistake")
    done = pair.easel(*RUN, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "error: together: data/words.txt: line 1 is empty; write a word there"
    assert not alive_in(pair)
    assert not list((pair.root / "artifacts").glob("[!.]*"))
    assert "ValueError" in next(pair.root.glob(".easel/runs/*/together.log")).read_text()
