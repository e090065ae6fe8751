"""Worker processes: sharing work, and what happens if one of them or their parent dies."""

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
    """Run `work` on every task in worker processes, and yield
    the results in the order of the tasks.

    Results that are done but not yet asked for stay in memory:
    a few chunks, however many tasks there are.

    Args:
        work: The function; with several workers, one that can be pickled.
        tasks: What it is called with, one after the other.
        processes: Number of workers; 1: this process does the work itself.
        chunk: Tasks that a worker takes at a time.

    Raises:
        InputError: A worker was killed; the others are ended.
    """
    if processes <= 1:
        yield from map(work, tasks)
        return
    # spawn: a fork would copy torch's threads in an undefined state
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
                f"one of {processes} worker processes was killed, by hand or because memory ran out; start again, with a "
                "smaller machine.workers in params.yaml if memory is short"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _each(work: Callable[[Task], Done], tasks: list[Task]) -> list[Done]:
    return [work(task) for task in tasks]


def end_with(process: int, end: Callable[[], object] = lambda: os._exit(1)) -> None:
    """End this process when that parent process is gone; it
    would wait for work from it, perhaps forever.

    Args:
        process: The parent.
        end: What ends this process.
    """

    def watch() -> None:
        while os.getppid() == process:
            time.sleep(1)
        end()

    threading.Thread(target=watch, daemon=True).start()
