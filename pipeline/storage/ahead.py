"""Reading many small files at a time, in order, and never far ahead of their use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

READERS = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(read: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """``map(read, items)`` by threads that stay at most 16 results ahead.

    Raises
    ------
    Exception
        What `read` raises, in its item's turn.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(READERS, "read ahead") as readers:
        try:
            for item in items:
                waiting.append(readers.submit(read, item))
                if len(waiting) == READERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
