"""Turns at hosts, on a clock of our own: what is begun when, and how many at once."""

import random
import threading
from collections import Counter

import pytest

from components.data.readers.hosts import HostTurns


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def test_requests_to_one_host_begin_evenly_and_other_hosts_do_not_wait() -> None:
    clock = Clock()
    turns = HostTurns(4.0, 1, clock, clock.sleep)
    begun: list[tuple[str, float]] = []
    for host in ("a", "a", "b", "a", "b"):
        with turns.turn(host):
            begun.append((host, clock.now - 100))
    assert begun == [("a", 0), ("a", 0.25), ("b", 0.25), ("a", 0.5), ("b", 0.5)]


def test_a_host_that_rested_owes_nothing_and_has_saved_nothing() -> None:
    clock = Clock()
    turns = HostTurns(2.0, 1, clock, clock.sleep)
    begun: list[float] = []
    for rest in (0.0, 7.0, 0.0, 0.0):
        clock.now += rest
        with turns.turn("a"):
            begun.append(clock.now - 100)
    assert begun == [0, 7, 7.5, 8]


def test_no_more_than_allowed_are_at_one_host_at_once_whatever_the_threads_do() -> None:
    turns = HostTurns(1e6, 3)
    running, most, lock, draw = Counter[str](), Counter[str](), threading.Lock(), random.Random(0)
    plans = [[draw.choice("ab") for _ in range(40)] for _ in range(12)]

    def work(hosts: list[str]) -> None:
        for host in hosts:
            with turns.turn(host):
                with lock:
                    running[host] += 1
                    most[host] = max(most[host], running[host])
                with lock:
                    running[host] -= 1

    threads = [threading.Thread(target=work, args=(plan,)) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most.values()) <= 3
    assert turns._num_running == {}


def test_a_turn_ends_also_where_the_request_fails() -> None:
    turns = HostTurns(1e6, 1)
    for _ in range(3):
        with pytest.raises(KeyError), turns.turn("a"):
            raise KeyError


def test_what_many_hosts_leave_behind_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.data.readers.hosts._MANY_HOSTS", 50)
    clock = Clock()
    turns = HostTurns(10.0, 1, clock, clock.sleep)
    for number in range(1000):
        clock.now += 0.01
        with turns.turn(f"host {number}"):
            pass
    assert len(turns._next) <= 51


@pytest.mark.parametrize(("per_s", "at_once"), [(0.0, 1), (-1.0, 1), (1.0, 0)])
def test_limits_that_let_nothing_through_are_refused(per_s: float, at_once: int) -> None:
    with pytest.raises(ValueError, match="above 0, and at least 1"):
        HostTurns(per_s, at_once)
