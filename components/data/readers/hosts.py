"""Politeness: how often, and how many at once, one host of the web is asked, however many threads download.

A host is its name: two names of one machine are two hosts. Nobody holds a turn at one host while waiting for another.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager

_MANY_HOSTS = 10_000


class HostTurns:
    """Turns for requests: to each host at most `at_once` together, and begun at least 1 / `per_s` seconds apart."""

    def __init__(
        self,
        per_s: float,
        at_once: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if per_s <= 0 or at_once < 1:
            raise ValueError(f"per host {per_s} requests a second and {at_once} at once; above 0, and at least 1")
        self._interval_s, self._at_once, self._clock, self._sleep = 1 / per_s, at_once, clock, sleep
        self._changed = threading.Condition()
        self._num_running, self._next = Counter[str](), dict[str, float]()

    @contextmanager
    def turn(self, host: str) -> Generator[None]:
        """Waits until `host` may be asked; its turn lasts until the block ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._num_running[host] < self._at_once)
            self._num_running[host] += 1
            now = self._clock()
            begin = max(now, self._next.get(host, now))
            self._next[host] = begin + self._interval_s
            if len(self._next) > _MANY_HOSTS:
                self._next = {name: after for name, after in self._next.items() if after > now}
        try:
            if begin > now:
                self._sleep(begin - now)
            yield
        finally:
            with self._changed:
                self._num_running[host] -= 1
                if not self._num_running[host]:
                    del self._num_running[host]
                self._changed.notify_all()
