"""Preparing ahead: the same items in the same order, a bounded number of them, and a thread that ends."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from components.data.buckets import Bucket
from components.data.latents import pack_texts
from components.training.batches import BatchSource
from components.training.config import BatchConfig
from components.training.prefetch import prefetched


@pytest.fixture
def left_over() -> Callable[[], set[threading.Thread]]:
    """The threads that were started since the test began and did not end."""
    before = set(threading.enumerate())
    return lambda: set(threading.enumerate()) - before


class Counted:
    """Numbers, and how many of them were made."""

    def __init__(self, count: int, error_at: int = -1) -> None:
        self.num_made, self._count, self._error_at = 0, count, error_at
        self.changed = threading.Condition()

    def __iter__(self) -> Iterator[int]:
        for number in range(self._count):
            if number == self._error_at:
                raise OSError("the disk went away")
            with self.changed:
                self.num_made += 1
                self.changed.notify_all()
            yield number

    def wait_for(self, num_made: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.num_made >= num_made, timeout=120)


@pytest.mark.parametrize("ahead", [1, 2, 5, 200])
def test_the_items_come_in_order_and_all(ahead, left_over):
    assert list(prefetched(iter(Counted(100)), ahead)) == list(range(100))
    assert list(prefetched(iter(()), ahead)) == []
    assert not left_over()


def test_some_are_made_ahead_and_no_more():
    source = Counted(100)
    items = prefetched(iter(source), 3)
    assert next(items) == 0
    assert source.wait_for(4)  # one given, three ready, without being asked for
    assert next(items) == 1
    assert source.wait_for(5)
    items.close()
    assert source.num_made == 5


def test_an_error_comes_in_its_place(left_over):
    items = prefetched(iter(Counted(10, error_at=3)), 5)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk went away"):
        next(items)
    assert not left_over()


def test_the_thread_ends_with_its_consumer(left_over):
    source = Counted(10**9)
    for item in (items := prefetched(iter(source), 2)):
        if item == 5:
            break
    items.close()
    assert not left_over()
    assert source.num_made <= 8


def test_a_forgotten_consumer_ends_the_thread_too(left_over):
    items = prefetched(iter(Counted(10**9)), 2)
    next(items)
    forgotten = weakref.ref(items)
    del items
    gc.collect()
    assert forgotten() is None
    assert not left_over()


def test_nothing_ahead_is_refused():
    with pytest.raises(ValueError, match="ahead is 0"):
        next(prefetched(iter([1]), 0))


def test_batches_are_prepared_without_threads_of_torch(store):
    """A second pool of them makes all threads sleep at each barrier: a step then takes twice as long."""
    rng = np.random.default_rng(0)
    long = pack_texts([rng.standard_normal((60, 128)).astype(np.float16) for _ in range(25)])
    source = BatchSource({Bucket(32, 32): replace(store, texts=long)}, BatchConfig(32, {"short": 1.0}, 0.0), seed=0)
    before, threads = torch.get_num_threads(), Path("/proc/self/task")
    torch.set_num_threads(4)
    try:
        torch.ones(4_000_000).exp()  # the pool of this thread
        alone = len(list(threads.iterdir()))
        batches = prefetched(source.slices(0, 4), 1)
        next(batches)
        assert len(list(threads.iterdir())) == alone + 1
        batches.close()
        with ThreadPoolExecutor(1) as other:  # what it would be, were they made by torch
            other.submit(lambda: torch.ones(32 * 60 * 128, dtype=torch.float16).float()).result()
            assert len(list(threads.iterdir())) > alone + 1
    finally:
        torch.set_num_threads(before)
