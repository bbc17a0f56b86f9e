"""The one path that every stage run takes: by hand, under DVC, under Prefect.

Parameters in, stage function called, outputs renamed into place, metrics written, MLflow run opened and closed, report
left. Nothing here knows any particular stage. A killed stage leaves no output under its final name: everything is
written below a temporary folder on the same file system and renamed when complete.
"""

import fcntl
import json
import math
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from flows import settings
from flows.checkpoints import identity_of, make_ready, store_of
from flows.declaration import MADE_DIR, Stage
from flows.energy import Meter
from flows.parameters import PARAMS_FILE, parse_block, read_blocks
from flows.process import at_work, die_with_parent, log_to, progress_writer
from flows.ranks import Job, in_ranks, is_follower, is_launcher
from flows.reports import EXIT_MISTAKE, Report, explain, hearing_last_words, report_file, write_durably
from flows.workspace import git_state

Perform = Callable[[dict[str, Path]], dict[str, Any]]
"""Does a stage's work, given the path of each role; returns its metrics."""


class StageInputError(ValueError):
    """An input of a stage is not there; the message says what to do."""


@contextmanager
def stage_lock(root: Path, stage: str) -> Generator[None]:
    """Hold the stage's own lock, so that an orphan of a killed run and its successor never write together.

    An OS lock: it vanishes with the process that holds it, however that ends.
    """
    folder = root / MADE_DIR
    folder.mkdir(exist_ok=True)
    with (folder / f".{stage}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def check_inputs(stage: Stage, root: Path) -> None:
    """Refuse to start without every input.

    Raises:
        StageInputError: names the input that is not there and how to get it.
    """
    for role, artifact in stage.inputs.items():
        if not (root / artifact.path).exists():
            remedy = f"run `easel run --until {artifact.made_by}`" if artifact.made_by else "run `dvc pull`"
            raise StageInputError(f"{stage.name}: input {role} is missing: {artifact.path}; {remedy}")


def paths_of(stage: Stage, root: Path) -> dict[str, Path]:
    """The path of each role while the stage works: its outputs lie in a temporary folder."""
    temporary = making(stage, root)
    made = {role: temporary / role / Path(path).name for role, path in stage.outputs.items()}
    return {role: root / artifact.path for role, artifact in stage.inputs.items()} | made


def making(stage: Stage, root: Path) -> Path:
    """The temporary folder of the stage's outputs, on their file system."""
    return root / MADE_DIR / f".making-{stage.name}"


def call(stage: Stage, root: Path, perform: Perform) -> dict[str, float]:
    """Have the work done on temporary outputs, then rename them into place; returns its metrics.

    Raises:
        ValueError: a metric that is not a finite number, or an output that the function did not make.
    """
    shutil.rmtree(making(stage, root), ignore_errors=True)
    try:
        paths = paths_of(stage, root)
        for role in stage.outputs:
            paths[role].parent.mkdir(parents=True)
        metrics = perform(paths)
        for name, value in metrics.items():
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{stage.name}: metric {name} is {value!r}; it must be a finite number")
        for role in stage.outputs:
            if not paths[role].exists():
                raise ValueError(f"{stage.name}: output {role} was not written")
        for role, path in stage.outputs.items():
            move_into_place(paths[role], root / path)
        write_durably(root / stage.metrics_path, json.dumps(metrics, indent=2) + "\n")
        return metrics
    finally:
        shutil.rmtree(making(stage, root), ignore_errors=True)


def move_into_place(made: Path, final: Path) -> None:
    """Flush `made` to disk and give it its final name, replacing what an earlier run left there."""
    for file in [made] if made.is_file() else sorted(p for p in made.rglob("*") if p.is_file()):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.is_dir():
        shutil.rmtree(final)
    elif final.exists():
        final.unlink()
    made.replace(final)


def run_tracked(stage: Stage, params: BaseModel, root: Path) -> dict[str, Any]:
    """Have the stage's work done inside its MLflow run; returns the fields of the report that only then are known."""
    from components import tracking

    profile, identity = settings.load_profile(root), identity_of(stage, params, root)
    checkpoints, store = store_of(identity, root), settings.tracking_store(root)
    make_ready(checkpoints, identity)
    with ExitStack() as resources:
        spool = Path(os.environ["EASEL_SPOOL"]) if "EASEL_SPOOL" in os.environ else None
        if spool is None and is_launcher(stage, profile):  # rank 0 logs to this run, which takes a spool
            spool = resources.enter_context(tracking.recording(settings.home(root) / "spool", **store)).spool
        run = resources.enter_context(
            tracking.open_run(
                stage.name,
                **store,
                spool=spool,
                parent_run_id=os.environ.get("EASEL_PARENT_RUN"),
                tags={"easel.stage": stage.name, "easel.profile": profile.name, **git_state(root).tags},
                on_progress=progress_writer(stage.name),
                system_metrics=True,
            )
        )
        run.log_params(identity["params"])
        for role, artifact in stage.inputs.items():
            run.log_input(role, artifact.path, identity["inputs"][role])

        def perform(paths: dict[str, Path]) -> dict[str, float]:
            if is_launcher(stage, profile):
                plain = {role: str(path) for role, path in paths.items()}
                job = Job(identity["params"], plain, identity, str(spool), run.ref, run.uri)
                return in_ranks(stage, job, ranks_folder(stage, root), profile.execution.world_size)
            with at_work(identity, root):
                return asdict(stage.function(params, **paths))

        started = time.monotonic()
        metrics = call(stage, root, perform)
        work_seconds = time.monotonic() - started
        run.log_metrics({f"stage/{name}": value for name, value in metrics.items()}, step=0)
        run.flush()
        for_ledger = time.monotonic()
        if "EASEL_RUN_DIR" in os.environ and "torch" in sys.modules:
            from flows.lineage.drawn_left import leave_drawn

            leave_drawn(root, stage.name, Path(os.environ["EASEL_RUN_DIR"]), run.run_id, identity["inputs"])
        ledger_seconds = time.monotonic() - for_ledger
        ids = {"mlflow_run_id": run.run_id, "tracking_ref": run.ref, "checkpoints": str(checkpoints.directory)}
        return {"metrics": metrics, "work_seconds": work_seconds, "ledger_seconds": ledger_seconds, **ids}


def ranks_folder(stage: Stage, root: Path) -> Path:
    """Where the ranks of a stage leave their logs: in the run folder, if there is one."""
    run_dir = os.environ.get("EASEL_RUN_DIR")
    return (Path(run_dir) if run_dir else settings.home(root) / "runs" / "by-hand") / f"{stage.name}.ranks"


def follow(stage: Stage, params: BaseModel, root: Path) -> None:
    """Be one of the ranks that others started and that write nothing."""
    with at_work(identity_of(stage, params, root), root):
        stage.function(params, **paths_of(stage, root))


def run_stage(stage: Stage, root: Path) -> int:
    """Run one stage in this process; returns the exit code (0, or one of those in `flows.reports`)."""
    settings.go_quiet()
    die_with_parent()
    run_dir, started, clock = os.environ.get("EASEL_RUN_DIR"), time.time(), time.monotonic()
    meter = Meter() if run_dir else None
    if run_dir:
        log_to(Path(run_dir) / f"{stage.name}.log")
    is_following = False

    def leave(error: str, exit_code: int, **known: Any) -> None:
        if run_dir and not is_following:
            known["energy_j"] = meter.used() if meter else {}
            report = Report(stage.name, started, time.monotonic() - clock, error, exit_code, **known)
            write_durably(report_file(Path(run_dir), stage.name), json.dumps(asdict(report)) + "\n")

    try:
        with hearing_last_words(leave):
            profile = settings.load_profile(root)
            if profile.launcher == "local":
                settings.stand_alone()
            is_following = is_follower(stage, profile)
            params = parse_block(stage, read_blocks(root / PARAMS_FILE), Path(PARAMS_FILE))
            check_inputs(stage, root)
            if is_following:
                follow(stage, params, root)
                return 0
            with stage_lock(root, stage.name):
                known = run_tracked(stage, params, root)
        leave("", 0, **known)
        return 0
    except Exception as caught:
        error, exit_code = explain(caught)
        if run_dir or exit_code != EXIT_MISTAKE:  # in a run, standard error is the stage's log file
            traceback.print_exc()
        sys.stderr.write(f"{stage.name}: {error}\n")
        leave(error, exit_code)
        return exit_code
