"""Runs in a real MLflow store (SQLite): directly, from two processes at once, and through a spool."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import mlflow
import numpy as np
import pytest

from components import tracking
from components.tracking import current_run, open_run, recording

# MLflow 3.17 still uses what SQLAlchemy 2.1 deprecates; ours are errors, theirs are not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

EXPERIMENT = "easel-test"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """One migrated database for the whole file: the first migration takes seconds."""
    root = tmp_path_factory.mktemp("tracking")
    return {"uri": f"sqlite:///{root}/mlflow.db", "artifact_root": root / "artifacts", "experiment": EXPERIMENT}


@pytest.fixture
def client(store: dict[str, object]) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(str(store["uri"]))


def log_everything(run: tracking.NullRun, path: Path) -> None:
    run.log_params({"model": {"width": 160}, "long": "x" * 7000})
    for step in range(0, 640, 64):
        run.log_metrics({"loss": 1.0 / (1 + step), "bad": float("nan")}, step=step)
    run.log_image("grids/all", np.full((32, 48, 3), 200, np.uint8), step=640)
    run.log_input("images", "data/images", "ab" * 32, "training")
    run.log_artifact(path, "notes")
    run.set_tags({"stage": "pretrain"})


def assert_everything(client: mlflow.MlflowClient, run_id: str) -> None:
    run = client.get_run(run_id)
    assert run.data.params["model.width"] == "160"
    assert len(run.data.params["long"]) == 6000
    history = client.get_metric_history(run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(s, pytest.approx(1.0 / (1 + s))) for s in range(0, 640, 64)]
    assert "bad (10)" in run.data.tags[tracking.run.WARNING_TAG]
    assert run.data.tags["mlflow.loggedImages"] == "True"
    images = [file.path for file in client.list_artifacts(run_id, "images")]
    assert any(path.startswith("images/grids~all+step+640+") and path.endswith(".png") for path in images)
    (dataset,) = run.inputs.dataset_inputs
    assert {tag.key: tag.value for tag in dataset.tags}["sha256"] == "ab" * 32
    assert dataset.dataset.digest == ("ab" * 32)[:36]
    assert [file.path for file in client.list_artifacts(run_id, "notes")] == ["notes/note.txt"]
    assert run.data.tags["stage"] == "pretrain"


@pytest.fixture
def note(tmp_path: Path) -> Path:
    (tmp_path / "note.txt").write_text("hello")
    return tmp_path / "note.txt"


def test_a_run_holds_what_was_logged(store: dict, client: mlflow.MlflowClient, note: Path) -> None:
    with (
        open_run("chain", tags={"git": "abc"}, **store) as parent,
        open_run("pretrain", parent_run_id=parent.run_id, system_metrics=True, **store) as run,
    ):
        assert current_run() is run
        log_everything(current_run(), note)
    assert_everything(client, run.run_id)
    assert client.get_run(run.run_id).info.status == "FINISHED"
    assert client.get_run(run.run_id).data.tags["mlflow.parentRunId"] == parent.run_id
    assert client.get_run(parent.run_id).info.status == "FINISHED"
    assert client.get_run(parent.run_id).data.tags["git"] == "abc"
    assert run.run_id in run.url


def test_an_exception_marks_the_run_failed_and_keeps_the_points(store: dict, client: mlflow.MlflowClient) -> None:
    ids: list[str] = []

    def fail() -> None:
        with open_run("fails", **store) as run:
            ids.append(run.run_id)
            run.log_metrics({"loss": 2.0}, step=7)
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    stored = client.get_run(ids[0])
    assert stored.info.status == "FAILED"
    assert stored.data.metrics == {"loss": 2.0}
    assert current_run().run_id == ""


class StoppedError(RuntimeError):
    exit_code = 75


@pytest.mark.parametrize("error", [KeyboardInterrupt, StoppedError])
def test_ctrl_c_and_a_stop_on_request_mark_the_run_killed(
    store: dict, client: mlflow.MlflowClient, error: type[BaseException]
) -> None:
    with pytest.raises(error), open_run("stopped", **store) as run:
        raise error
    assert client.get_run(run.run_id).info.status == "KILLED"


def test_sigterm_marks_the_run_killed(store: dict, client: mlflow.MlflowClient) -> None:
    before = signal.getsignal(signal.SIGTERM)
    ids: list[str] = []

    def be_terminated() -> None:
        with open_run("terminated", **store) as run:
            ids.append(run.run_id)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)  # interrupted at once by the handler

    with pytest.raises(SystemExit) as stopped:
        be_terminated()
    assert stopped.value.code == 128 + signal.SIGTERM
    assert client.get_run(ids[0]).info.status == "KILLED"
    assert signal.getsignal(signal.SIGTERM) is before


def test_two_writers_on_one_database_lose_nothing(store: dict, client: mlflow.MlflowClient) -> None:
    ids: dict[str, str] = {}

    def write(name: str) -> None:
        # A run per thread with its own store connection is what two processes do, without the price of a second import.
        from components.tracking.run import Run
        from components.tracking.store import create_run

        backend = create_run(name, parent=None, tags={}, **store)
        run = Run(backend)
        for step in range(100):
            run.log_metrics({"x": step}, step=step)
            run.flush()
        backend.end("FINISHED")
        ids[name] = backend.run_id

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    for run_id in ids.values():
        assert [m.value for m in client.get_metric_history(run_id, "x")] == list(range(100))


STAGE = """
import sys, time
from pathlib import Path
import numpy as np
from components.tracking import current_run, open_run
spool, parent, note, mode = sys.argv[1:]
with open_run("pretrain", uri="spooled", artifact_root=Path("."), experiment="x", parent_run_id=parent,
              spool=Path(spool)) as run:
    run.log_params({"model": {"width": 160}, "long": "x" * 7000})
    for step in range(0, 640, 64):
        run.log_metrics({"loss": 1.0 / (1 + step), "bad": float("nan")}, step=step)
    run.log_image("grids/all", np.full((32, 48, 3), 200, np.uint8), step=640)
    run.log_input("images", "data/images", "ab" * 32, "training")
    run.log_artifact(Path(note), "notes")
    run.set_tags({"stage": "pretrain"})
    if mode == "die":
        import os
        os._exit(9)
    print(run.run_id)
assert "mlflow" not in sys.modules
"""


def stage(spool: Path, parent: str, note: Path, mode: str = "end") -> str:
    done = subprocess.run(
        [sys.executable, "-c", STAGE, str(spool), parent, str(note), mode],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == (9 if mode == "die" else 0), done.stderr
    return done.stdout.strip()


def test_another_process_joins_a_run_and_does_not_end_it(
    store: dict, client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    with (
        recording(tmp_path / "spool", **store) as recorder,
        open_run("pretrain", spool=recorder.spool, **store) as run,
    ):
        run.log_image("first", np.zeros((8, 8, 3), np.uint8), step=0)
        with tracking.join_run(recorder.spool, run.ref, run.uri) as joined:
            assert current_run() is joined
            joined.log_metrics({"loss": 2.0}, step=7)
            joined.log_image("second", np.zeros((8, 8, 3), np.uint8), step=7)
        assert current_run() is run
        run.log_metrics({"loss": 1.0}, step=8)
        run_id = run.run_id
    assert recorder.error is None
    assert [m.value for m in client.get_metric_history(run_id, "loss")] == [2.0, 1.0]
    assert len({f.path.split("+")[0] for f in client.list_artifacts(run_id, "images")}) == 2
    assert client.get_run(run_id).info.status == "FINISHED"


def test_a_stage_that_spools_leaves_the_same_run_without_importing_mlflow(
    store: dict, client: mlflow.MlflowClient, note: Path, tmp_path: Path
) -> None:
    with (
        recording(tmp_path / "spool", **store) as recorder,
        open_run("chain", spool=recorder.spool, **store) as parent,
    ):
        run_id = stage(recorder.spool, parent.ref, note)
        parent_id = parent.run_id
        (child,) = [f.name for f in recorder.spool.iterdir() if f.is_dir() and f.name != parent.ref]
        tracking.annotate(recorder.spool, child, {"dvc.artifacts/x": "md5:1"})  # after its end
    assert recorder.error is None
    assert_everything(client, run_id)
    stored = client.get_run(run_id)
    assert stored.info.status == "FINISHED"
    assert stored.data.tags["mlflow.parentRunId"] == parent_id
    assert stored.data.tags["dvc.artifacts/x"] == "md5:1"
    assert stored.info.end_time >= stored.info.start_time
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_spooling_stage_that_dies_is_closed_as_killed(
    store: dict, client: mlflow.MlflowClient, note: Path, tmp_path: Path
) -> None:
    with (
        recording(tmp_path / "spool", **store) as recorder,
        open_run("dying chain", spool=recorder.spool, **store) as parent,
    ):
        stage(recorder.spool, parent.ref, note, "die")
        parent_id = parent.run_id
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    (child,) = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent_id}'")
    assert child.info.status == "KILLED"
    assert child.data.params["model.width"] == "160"


def test_records_survive_a_store_that_is_down(
    store: dict, client: mlflow.MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.tracking import store as mlflow_store

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("store is down")

    with monkeypatch.context() as outage:
        outage.setattr(mlflow_store, "create_run", unreachable)
        with (
            recording(tmp_path / "spool", **store) as recorder,
            open_run("later", spool=recorder.spool, **store) as run,
        ):
            run.log_metrics({"loss": 1.0}, step=1)
        assert isinstance(recorder.error, ConnectionError)
        assert len(list((tmp_path / "spool").iterdir())) == 1
    with recording(tmp_path / "spool", **store):
        pass
    assert list((tmp_path / "spool").iterdir()) == []
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    (stored,) = client.search_runs([experiment.experiment_id], "attributes.run_name = 'later'")
    assert stored.info.status == "FINISHED"
    assert stored.data.metrics == {"loss": 1.0}
