"""Real processes that hang, and how the watchdog ends them."""

import subprocess
import sys
import textwrap
from pathlib import Path

from components.training.watchdog import EXIT_STALLED


def run(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    """A process that does ten steps and then `body`, under a watchdog that waits three seconds."""
    program = """
import ctypes, sys, threading, time
from pathlib import Path
from components.training.watchdog import StepClock, Watchdog

clock, folder = StepClock(), Path(sys.argv[1])

def give_up(message):
    (folder / "report.txt").write_text(message)

def in_the_midst_of_it():
BODY

watchdog = Watchdog(clock, folder, give_up, factor=20, floor_s=3, first_s=30)
with watchdog.watching():
    for step in range(10):
        time.sleep(0.01)
        clock.step()
        watchdog.images_seen += 8
    in_the_midst_of_it()
"""
    program = program.replace("BODY", textwrap.indent(textwrap.dedent(body), "    "))
    command = [sys.executable, "-c", program, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_process_that_hangs_is_ended_with_stacks_and_a_report(tmp_path):
    ended = run(tmp_path, "threading.Event().wait()")
    assert ended.returncode == EXIT_STALLED, ended.stderr
    file = tmp_path / "stalled-000000000080-rank0.txt"
    assert "in_the_midst_of_it" in file.read_text()
    report = (tmp_path / "report.txt").read_text()
    assert report.startswith("no step for ")
    assert "after 80 images" in report
    assert str(file) in report


def test_a_process_whose_interpreter_is_held_is_ended_too(tmp_path):
    # PyDLL keeps the interpreter's lock: no Python thread runs meanwhile.
    ended = run(tmp_path, "ctypes.PyDLL(None).sleep(55)")
    assert ended.returncode == 1
    assert "in_the_midst_of_it" in (tmp_path / "interpreter-held-000000000000-rank0.txt").read_text()


def test_a_long_pause_is_no_hang(tmp_path):
    ended = run(tmp_path, "with clock.paused():\n    time.sleep(5)")
    assert ended.returncode == 0, ended.stderr
    assert list(tmp_path.iterdir()) == []
