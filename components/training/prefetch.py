"""Batches prepared beside the training step: a bounded number ahead, in their order."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def prefetched(items: Iterator[T], ahead: int) -> Generator[T]:
    """What `items` gives, made in one thread, at most `ahead` of them before they are asked for.

    What `items` raises is raised here, in its place. The thread ends with the last item or when this generator is
    closed or forgotten, after the item it is at. ValueError if `ahead` is not positive.
    """
    if ahead < 1:
        raise ValueError(f"ahead is {ahead}; allowed: 1 or more")
    end: Any = object()
    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
    try:
        pending = deque(worker.submit(next, items, end) for _ in range(ahead))
        while (item := pending.popleft().result()) is not end:
            pending.append(worker.submit(next, items, end))
            yield item
    finally:
        worker.shutdown(cancel_futures=True)
