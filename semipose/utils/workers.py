"""Processes that share out work: what happens when one of them dies, or the one that began them."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from semipose.utils.errors import InputError

Task = TypeVar("Task")
Done = TypeVar("Done")


def in_processes(work: Callable[[Task], Done], tasks: Iterable[Task], processes: int, chunk: int = 1) -> Iterator[Done]:
    """`work(task)` of every task, in their order, by so many processes, which take `chunk` tasks at a time; one: by this process itself.

    What is done and not yet asked for is kept in memory: that of a few chunks, however many tasks there are.
    Raises InputError where one of them was killed, and what `work` raises; the others are then ended.
    """
    if processes <= 1:
        yield from map(work, tasks)
        return
    # spawn: a fork would copy torch's threads in whatever state they are
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=end_with, initargs=(os.getpid(),)) as pool:
        waiting: deque[Future[list[Done]]] = deque()
        ahead, remaining = 2 * processes, iter(tasks)
        try:
            while some := list(islice(remaining, chunk)):
                waiting.append(pool.submit(_each, work, some))
                if len(waiting) > ahead:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except BrokenProcessPool:
            raise InputError(
                f"one of {processes} worker processes was killed, by hand or because memory ran out: run `dvc repro` again, "
                "with a smaller machine.workers in params.yaml if memory is short"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _each(work: Callable[[Task], Done], tasks: list[Task]) -> list[Done]:
    return [work(task) for task in tasks]


def end_with(process: int) -> None:
    """End this process, which that one began, when it is no more: it would wait for work or word from it, some for ever."""

    def watch() -> None:
        while os.getppid() == process:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
