"""Processes that decide who is champion, each on a registry of its own, and are killed at a given step.

Called as `promoters.py ROOT:COMMAND:STEP ...`; prints one JSON list: how each process ended. They are forked from one
that has imported MLflow, which takes seconds, and has opened no store. A STEP of -1 lets a process live.
"""

import json
import os
import signal
import sys
from pathlib import Path

from mlflow.tracking import MlflowClient

import components.registry.promotion  # noqa: F401 - imported once, before the forks
from flows.promote import promote, rollback

WRITES = (
    "set_registered_model_tag",
    "delete_registered_model_tag",
    "set_registered_model_alias",
    "set_model_version_tag",
)


def kill_before(step: int) -> None:
    """End this process, as hard as can be, before it writes to the registry for the time number `step` (from 0)."""
    done = [0]

    def counted(original):
        def write(*args, **kwargs):
            if done[0] == step:
                os.kill(os.getpid(), signal.SIGKILL)
            done[0] += 1
            return original(*args, **kwargs)

        return write

    for name in WRITES:
        setattr(MlflowClient, name, counted(getattr(MlflowClient, name)))


def decide(root: Path, command: str, step: int) -> None:
    kill_before(step)
    if command == "rollback":
        rollback(root, reason="for a test", by="ann")
    else:
        promote(root, command, reason="for a test", by="ann")


def main() -> None:
    children = []
    for root, command, step in (argument.split(":") for argument in sys.argv[1:]):
        child = os.fork()
        if child == 0:
            decide(Path(root), command, int(step))
            os._exit(0)
        children.append(child)
    ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.stdout.write(json.dumps(ended))


if __name__ == "__main__":
    main()
