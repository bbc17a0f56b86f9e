"""A stage in several processes. The stage's own process starts them, waits, and alone does everything else with files.

Every rank calls the stage function with the same parameters and paths. Rank 0 writes the outputs, logs to the run that
the stage's process opened, and returns the metrics; the others log to nothing. What goes wrong in a rank comes out of
the stage's process as if it had happened there.
"""

import json
import os
import shutil
import signal
import sys
import time
import traceback
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components import tracking
from components.launch.local import Ended, log_file, run_ranks
from flows import settings
from flows.declaration import Stage
from flows.process import at_work, die_with_parent, progress_writer
from flows.reports import EXIT_FAULT, explain, hearing_last_words, write_durably

STOP_GRACE_S = settings.STOP_GRACE_S - 15
"""Less than the stage's process itself is given."""
NUM_TOLD_CHARACTERS = 20_000


class RankFailedError(RuntimeError):
    """A rank failed: with the message and the exit code that it left, or as the system ended it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Job:
    """What every rank of a stage is told; plain JSON values."""

    params: dict[str, Any]
    paths: dict[str, str]
    identity: dict[str, Any]
    spool: str
    run_ref: str
    run_uri: str


def is_launcher(stage: Stage, profile: settings.Profile) -> bool:
    """Whether this process has to start the ranks of `stage` itself."""
    return stage.distributed and profile.launcher == "local" and profile.execution.world_size > 1


def is_follower(stage: Stage, profile: settings.Profile) -> bool:
    """Whether this process is one of the ranks that others started, and not the one that writes.

    Raises:
        SettingsError: there are more or fewer of them than the profile says.
    """
    if not (stage.distributed and profile.launcher == "external"):
        return False
    wanted, found = profile.execution.world_size, settings.num_ranks()
    if wanted != found:
        raise settings.SettingsError(
            f"profile {profile.name} says {wanted} processes, WORLD_SIZE says {found}; start as many ranks of "
            f"`python -m flows stage {stage.name}` (torchrun, Slurm, Kubeflow), or choose another profile"
        )
    return settings.current_rank() > 0


def in_ranks(stage: Stage, job: Job, folder: Path, num_ranks: int) -> dict[str, float]:
    """Run `stage` in `num_ranks` processes on this machine, which leave logs and results in `folder`; rank 0's metrics.

    Raises:
        RankFailedError: the first failure.
        SystemExit: the ranks were told to stop, and none had a checkpoint to leave.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    file = folder / "job.json"
    file.write_text(json.dumps(asdict(job)), encoding="utf-8")
    command = [sys.executable, "-m", "flows", "rank", stage.name, str(file)]
    environment = os.environ | {"EASEL_SUPERVISOR": str(os.getpid())}
    ended = run_ranks(command, num_ranks, environment, folder, grace_s=STOP_GRACE_S, rank_0_serves=True)
    if failed := [one for one in ended if one.code]:
        raise failure(folder, failed, num_ranks)
    return read_result(folder, 0)["metrics"]


def failure(folder: Path, failed: list[Ended], num_ranks: int) -> BaseException:
    """The error that speaks for all: that of the rank which failed first; its log goes into the stage's.

    The others fail because of it, some before it has ended, so the order of their ends does not tell; the time at which
    each left its words does, unless one was killed and could leave none.
    """
    results = {one.rank: read_result(folder, one.rank) for one in failed}
    words = {rank: result for rank, result in results.items() if "message" in result}
    killed = [one for one in failed if one.code == -signal.SIGKILL and not one.was_told]
    if words and not killed:
        rank = min(words, key=lambda number: words[number]["at"])
        error: BaseException = RankFailedError(words[rank]["message"], words[rank]["exit_code"])
    else:
        first = (killed or failed)[0]
        rank, log = first.rank, log_file(folder, first.rank)
        error = RankFailedError(f"rank {rank} of {num_ranks} {how_it_ended(first)}; its log is {log}", EXIT_FAULT)
        if first.was_told and first.code == -signal.SIGTERM:
            error = SystemExit(128 + signal.SIGTERM)
    sys.stderr.write(log_file(folder, rank).read_text(encoding="utf-8", errors="replace")[-NUM_TOLD_CHARACTERS:])
    return error


def how_it_ended(one: Ended) -> str:
    """In words: `was killed by SIGSEGV`."""
    if one.code >= 0:
        return f"ended with code {one.code}"
    memory = " (was there enough memory?)" if one.code == -signal.SIGKILL and not one.was_told else ""
    return f"was killed by {signal.Signals(-one.code).name}{memory}"


def result_file(folder: Path, rank: int) -> Path:
    """Where `rank` leaves its metrics, or how it failed."""
    return folder / f"rank-{rank:05d}.json"


def read_result(folder: Path, rank: int) -> dict[str, Any]:
    """What `rank` left; empty if it ended without a word."""
    file = result_file(folder, rank)
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def run_rank(stage: Stage, file: Path, root: Path) -> int:
    """Be one rank of the job that `file` describes; returns the exit code."""
    settings.go_quiet()
    die_with_parent()
    rank, job = settings.current_rank(), Job(**json.loads(file.read_text(encoding="utf-8")))

    def leave(message: str, exit_code: int) -> None:
        words = {"message": message, "exit_code": exit_code, "at": time.time()}
        write_durably(result_file(file.parent, rank), json.dumps(words))

    try:
        with hearing_last_words(leave), at_work(job.identity, root), ExitStack() as run:
            if rank == 0:
                if meeting := settings.meeting():
                    from components.training.meeting import serve_meeting

                    serve_meeting(*meeting, settings.num_ranks())
                spool = Path(job.spool)
                run.enter_context(tracking.join_run(spool, job.run_ref, job.run_uri, progress_writer(stage.name)))
            params = stage.params.model_validate(job.params)
            metrics = asdict(stage.function(params, **{role: Path(path) for role, path in job.paths.items()}))
        write_durably(result_file(file.parent, rank), json.dumps({"metrics": metrics}))
        return 0
    except Exception as error:
        message, exit_code = explain(error)
        leave(message, exit_code)
        traceback.print_exc()
        return exit_code
