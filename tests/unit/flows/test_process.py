"""A process ends with the one that supervises it, whichever way that one is gone; with real processes."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from flows.reports import EXIT_FAULT

WATCHED = """
import time
from flows.process import die_with_parent
die_with_parent(interval_s=0.02)
print("at work", flush=True)
time.sleep(60)
"""
SLEEP = ["sleep", "60"]


@contextmanager
def supervised_by(pid: int) -> Generator[subprocess.Popen[str]]:
    environment = os.environ | {"EASEL_SUPERVISOR": str(pid)}
    with subprocess.Popen([sys.executable, "-c", WATCHED], env=environment, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("is_buried", [True, False])
def test_it_ends_with_its_supervisor_even_if_nobody_has_asked_how_that_ended(is_buried):
    with subprocess.Popen(SLEEP) as supervisor, supervised_by(supervisor.pid) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "at work\n"
        assert child.poll() is None
        supervisor.kill()
        if is_buried:
            supervisor.wait(60)
        assert child.wait(60) == EXIT_FAULT


def test_it_ends_if_its_supervisor_is_gone_before_it_begins_to_watch():
    with subprocess.Popen(SLEEP) as supervisor:
        supervisor.kill()
        supervisor.wait(60)
    with supervised_by(supervisor.pid) as child:
        assert child.wait(60) == EXIT_FAULT
