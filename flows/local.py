"""The plain executor: stages in order, no server, no Prefect. Also the one call that both executors make per stage.

A build is a folder below EASEL_HOME/runs: `build.json` says what it is, `events.jsonl` what happened (any process may
append, any may follow), and every stage leaves its report and its log there.
"""

import json
import os
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from dvc.exceptions import ReproductionError

from components import tracking
from flows import freshness, settings
from flows.checkpoints import forget
from flows.lineage import events as lineage_events
from flows.lineage.record_keeping import DamagedOutputError, keep_record, keep_reference, keep_run
from flows.reports import EXIT_FAULT, EXIT_MISTAKE, EXIT_PREEMPTED, Report, read_report, write_durably
from flows.workspace import git_state
from flows.workspace_lock import building


class StageFailedError(RuntimeError):
    """A stage ended with an error; `exit_code` says of which kind (see `flows.reports`)."""

    def __init__(self, stage: str, message: str, log: Path, exit_code: int) -> None:
        super().__init__(f"{stage}: {message}")
        self.log, self.exit_code = log, exit_code

    @property
    def is_worth_retrying(self) -> bool:
        """Not after a person's mistake, nor when the stage was asked to stop."""
        return self.exit_code not in (EXIT_MISTAKE, EXIT_PREEMPTED)


@dataclass(frozen=True)
class Outcome:
    """What became of one stage: `ran`, `restored` (out of DVC's run cache) or `fresh`, and the run that made it."""

    stage: str
    state: str
    mlflow_run_id: str
    seconds: float
    work_seconds: float


@dataclass(frozen=True)
class Build:
    """One execution of (part of) the pipeline in a workspace."""

    root: Path
    name: str
    stages: tuple[str, ...]
    profile: str
    spool: Path
    parent: str
    executor: str = "local"

    @property
    def directory(self) -> Path:
        """The run folder."""
        return settings.home(self.root) / "runs" / self.name

    @property
    def environment(self) -> dict[str, str]:
        """What a stage process gets from its executor, and nothing more."""
        return {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "EASEL_HOME": str(settings.home(self.root)),
            "EASEL_PROFILE": self.profile,
            "EASEL_RUN_DIR": str(self.directory),
            "EASEL_SPOOL": str(self.spool),
            "EASEL_PARENT_RUN": self.parent,
            "EASEL_SUPERVISOR": str(os.getpid()),
            # Libraries write sets of names into files (PEFT its layers): equal runs leave equal bytes only so.
            "PYTHONHASHSEED": "0",
            **thread_limits(settings.load_profile(self.root, self.profile).threads),
            **settings.QUIET,
        }

    def emit(self, stage: str, state: str, note: str = "") -> None:
        """Append an event for whoever follows this build."""
        with (self.directory / "events.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"stage": stage, "state": state, "note": note}) + "\n")

    def remark(self, stage: str, line: str) -> None:
        """Say something about a stage that stops nothing, to whoever follows this build."""
        with (self.directory / "events.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"stage": stage, "remark": line}) + "\n")


def thread_limits(threads: int) -> dict[str, str]:
    """What tells the numerical libraries how many threads to use; 0 leaves it to them.

    Threads that wait spin a third as long as they do by default, then sleep: as fast on cores of their own, and where
    something else wants the cores (a second build, another machine on the host) less time goes there. To sleep at once
    (OMP_WAIT_POLICY=passive) halves the speed of small networks, whose threads wait often and briefly.
    """
    count = str(threads)
    wanted = {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "GOMP_SPINCOUNT": "100000"}
    return wanted if threads else {}


@contextmanager
def open_build(root: Path, stages: Sequence[str], profile: str, executor: str = "local") -> Generator[Build]:
    """A new build with its run folder, its MLflow parent run and its record, which end with the block.

    MLflow is written by one recorder in this process, which the stage processes feed through a spool.
    """
    name = time.strftime("%Y%m%d-%H%M%S")
    directory = settings.home(root) / "runs" / name
    directory.mkdir(parents=True)  # fails when two builds start within one second: one workspace, one build
    tags = {"easel.build": name, "easel.profile": profile, **git_state(root).tags}
    store = settings.tracking_store(root)
    with (
        building(root),
        tracking.recording(settings.home(root) / "spool", **store) as recorder,
        tracking.open_run(f"build {name}", spool=recorder.spool, tags=tags, **store) as parent,
    ):
        build = Build(root, name, tuple(stages), profile, recorder.spool, parent.ref, executor)
        plain = asdict(build) | {"root": str(root), "spool": str(recorder.spool)}
        write_durably(directory / "build.json", json.dumps(plain) + "\n")
        lineage_events.teller(build).build_event("START")
        result = "failed"
        try:
            yield build
            result = "finished"
        finally:
            keep_run(build, result)
            lineage_events.close(build, "COMPLETE" if result == "finished" else "FAIL")
    from components.data.part_store import prune  # pyarrow: only who has built pays for it

    prune(settings.part_store(root), settings.MAX_PARTS_BYTES)


def load_build(root: Path, name: str) -> Build:
    """The build that `open_build` described in its run folder."""
    fields = json.loads((settings.home(root) / "runs" / name / "build.json").read_text(encoding="utf-8"))
    return Build(**(fields | {"root": root, "stages": tuple(fields["stages"]), "spool": Path(fields["spool"])}))


def made_by_file(root: Path, fingerprint: str) -> Path:
    """Which run made what a fingerprint names; shared by all builds of this workspace."""
    return settings.home(root) / "made-by" / f"{fingerprint}.json"


def execute(build: Build, stage: str, *, force: bool = False) -> Outcome:
    """Bring one stage up to date within `build`: the only way in which any executor runs a stage.

    Asked to stop (Ctrl-C, SIGTERM), it asks the stage, and waits while that writes a checkpoint.

    Raises:
        StageFailedError: the stage's command failed, died without a word, or stopped with a checkpoint.
        FreshnessError: DVC cannot act.
        DamagedOutputError: what did not run left other bytes than its record names.
    """
    build.emit(stage, "running")
    lineage_events.teller(build).begin(stage)
    try:
        was_stale = freshness.reproduce(stage, build.root, build.environment, force=force)
    except ReproductionError:
        raise failed(build, stage) from None
    except Exception:
        raise
    except BaseException:
        stop_stage(stage, settings.STOP_GRACE_S)
        error = failed(build, stage)
        if error.exit_code == EXIT_PREEMPTED:
            raise error from None
        raise
    report = read_report(build.directory, stage) if was_stale else None
    outcome = remember(build, stage, report) if report else recall(build, stage, was_stale=was_stale)
    if report:
        keep_record(build, stage, report)
    else:
        refer(build, stage)
    lineage_events.teller(build).end(stage, "COMPLETE" if report else "did not run")
    build.emit(stage, "done" if report else "cached", summary(report) if report else outcome.state)
    return outcome


def refer(build: Build, stage: str) -> None:
    """Refer to the record of a stage that did not run; DamagedOutputError as `keep_reference`, once it is told."""
    try:
        keep_reference(build, stage)
    except DamagedOutputError as error:
        build.emit(stage, "failed", str(error))
        lineage_events.teller(build).end(stage, "FAIL", str(error))
        raise


def failed(build: Build, stage: str) -> StageFailedError:
    """How the stage's process ended, by the report that it left."""
    report, log = read_report(build.directory, stage), build.directory / f"{stage}.log"
    message = report.error if report and report.error else f"ended without a report (killed?); its log is {log}"
    exit_code = report.exit_code if report and report.error else EXIT_FAULT
    lineage_events.teller(build).end(stage, "ABORT" if exit_code == EXIT_PREEMPTED else "FAIL", message)
    build.emit(stage, "stopped" if exit_code == EXIT_PREEMPTED else "failed", message)
    return StageFailedError(stage, message, log, exit_code)


def stop_stage(stage: str, grace_s: float) -> None:
    """Ask the process of `stage` below this one to end and wait for it; a second signal, or time, ends it at once."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if child.cmdline()[-4:] == ["-m", "flows", "stage", stage]:
                child.terminate()
                try:
                    child.wait(grace_s)
                finally:
                    child.kill()


def remember(build: Build, stage: str, report: Report) -> Outcome:
    """After DVC's commit: tell the stage's MLflow run its hashes, note which run made them, drop the checkpoints."""
    entry = freshness.lock_entries(build.root)[stage]
    mark = freshness.fingerprint(entry)
    made = freshness.output_hashes(entry)
    hashes = {f"easel.dvc.{path}": value for path, value in made.items()}
    tracking.annotate(build.spool, report.tracking_ref, {"easel.fingerprint": mark, **hashes})
    outcome = Outcome(stage, "ran", report.mlflow_run_id, report.seconds, report.work_seconds)
    note = asdict(outcome) | {"build": build.name, "outputs": made}
    write_durably(made_by_file(build.root, mark), json.dumps(note) + "\n")
    forget(report.checkpoints)
    return outcome


def recall(build: Build, stage: str, *, was_stale: bool) -> Outcome:
    """Link a stage that did not run to the run that made its outputs (which may be unknown: made elsewhere)."""
    file = made_by_file(build.root, freshness.fingerprint(freshness.lock_entries(build.root)[stage]))
    made = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"mlflow_run_id": "", "build": ""}
    link = {f"easel.cached.{stage}": made["mlflow_run_id"] or "made elsewhere"}
    tracking.annotate(build.spool, build.parent, link)
    return Outcome(stage, "restored" if was_stale else "fresh", made["mlflow_run_id"], 0.0, 0.0)


def summary(report: Report) -> str:
    """A stage's metrics in one short line."""
    shown = {k: f"{v:,.4g}" if isinstance(v, float) else f"{v:,}" for k, v in list(report.metrics.items())[:3]}
    return "  ".join(f"{name} {value}" for name, value in shown.items())


def run_local(build: Build, *, force: bool = False) -> list[Outcome]:
    """Run the build's stages one after another in this process."""
    return [execute(build, stage, force=force) for stage in build.stages]
