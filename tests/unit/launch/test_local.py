"""Real processes: the ranks of a job start together and end together, however one of them ends."""

import os
import signal
import sys
import threading
import time

import psutil
import pytest

from components.launch.local import Ended, log_file, run_ranks

TOLD = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(75)); print('ready', flush=True); "


def run(tmp_path, code, num_ranks=2, grace_s=20.0, failure_grace_s=20.0, rank_0_serves=False):
    command = [sys.executable, "-S", "-c", f"import os; rank = int(os.environ['RANK']); {code}"]
    return run_ranks(
        command,
        num_ranks,
        {"PATH": "/bin"},
        tmp_path,
        grace_s=grace_s,
        failure_grace_s=failure_grace_s,
        rank_0_serves=rank_0_serves,
    )


def wait_for(tmp_path, num_ranks, word):
    """Return as soon as every rank has said the word."""
    logs = [log_file(tmp_path, rank) for rank in range(num_ranks)]
    while not all(log.exists() and word in log.read_bytes() for log in logs):
        time.sleep(0.01)


def when_ready(tmp_path, num_ranks, act):
    """Call `act` as soon as every rank has said that it is ready."""

    def wait():
        wait_for(tmp_path, num_ranks, b"ready")
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_every_rank_is_told_its_place_and_nothing_else_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("EASEL_SECRET", "x")
    ended = run(
        tmp_path, "print(rank, os.environ['WORLD_SIZE'], os.environ['MASTER_PORT'], 'EASEL_SECRET' in os.environ)", 3
    )
    assert sorted(one.rank for one in ended) == [0, 1, 2]
    assert all(one.code == 0 and not one.was_told for one in ended)
    said = [log_file(tmp_path, rank).read_text().split() for rank in range(3)]
    assert said == [[str(rank), "3", said[0][2], "False"] for rank in range(3)]


def test_all_meet_at_a_socket_of_rank_0_on_loopback(tmp_path):
    code = (
        "import socket; fd = int(os.environ['EASEL_MEETING']); "
        "meeting = socket.socket(fileno=fd) if rank == 0 else socket.create_connection((os.environ['MASTER_ADDR'], "
        "int(os.environ['MASTER_PORT']))); "
        "print(meeting.getsockname()[0] if rank == 0 else meeting.recv(5), flush=True); "
        "rank == 0 and meeting.accept()[0].send(b'hello')"
    )
    assert [one.code for one in run(tmp_path, code, rank_0_serves=True)] == [0, 0]
    assert log_file(tmp_path, 0).read_text() == "127.0.0.1\n"
    assert log_file(tmp_path, 1).read_text() == "b'hello'\n"


def test_when_one_fails_the_others_are_told_to_stop(tmp_path):
    ended = run(tmp_path, f"{TOLD} rank == 1 and sys.exit(3); time.sleep(60)")
    assert ended[0] == Ended(1, 3, was_told=False)
    assert ended[1].rank == 0
    assert ended[1].was_told


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_who_does_not_stop_is_killed_with_what_it_started(tmp_path):
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)']); "
        "print(child.pid, flush=True)\n"
        f"while rank == 1 and not os.path.getsize({str(log_file(tmp_path, 0))!r}): time.sleep(0.01)\n"
        "rank == 1 and sys.exit(1); time.sleep(60)"
    )
    ended = run(tmp_path, code, failure_grace_s=0.3)
    assert ended == [Ended(1, 1, was_told=False), Ended(0, -signal.SIGKILL, was_told=True)]
    for rank in range(2):
        grandchild = int(log_file(tmp_path, rank).read_text())
        deadline_s = time.monotonic() + 30
        while is_alive(grandchild) and time.monotonic() < deadline_s:  # killed, and not gone at once
            time.sleep(0.01)
        assert not is_alive(grandchild)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_is_passed_on_and_waited_for(tmp_path, number):
    before = signal.getsignal(number)
    killer = when_ready(tmp_path, 2, lambda: os.kill(os.getpid(), number))
    ended = run(tmp_path, f"{TOLD} time.sleep(60)")
    killer.join()
    assert [(one.code, one.was_told) for one in ended] == [(75, True)] * 2
    assert signal.getsignal(number) is before


def test_the_grace_ends_and_a_second_ctrl_c_ends_it_at_once(tmp_path):
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'told')); "
        "print('ready', flush=True); [time.sleep(1) for _ in range(200)]"
    )
    killer = when_ready(tmp_path, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert [one.code for one in run(tmp_path, deaf, grace_s=0.2)] == [-signal.SIGKILL] * 2
    killer.join()

    def press_twice():
        os.kill(os.getpid(), signal.SIGINT)
        wait_for(tmp_path, 2, b"told")  # two that come at once may count as one
        os.kill(os.getpid(), signal.SIGINT)

    for log in tmp_path.iterdir():
        log.unlink()
    killer = when_ready(tmp_path, 2, press_twice)
    assert [one.code for one in run(tmp_path, deaf, grace_s=1000.0)] == [-signal.SIGKILL] * 2
    killer.join()
