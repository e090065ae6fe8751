"""Reading ahead: what the next steps need is made by threads while this step computes."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Made = TypeVar("Made")

THREADS = min(8, os.cpu_count() or 1)


class Ahead(Generic[Made]):
    """`make(step, group)`, a pure function, begun for the next `threads` steps of a group whenever one of its steps is asked for. What it
    raises is raised when its step is asked for."""

    def __init__(self, make: Callable[[int, int], Made], threads: int = THREADS) -> None:
        self.make, self.threads = make, threads
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="reader")
        self.coming: dict[tuple[int, int], Future[Made]] = {}

    def __call__(self, step: int, group: int = 0) -> Made:
        for number, one in [key for key in self.coming if key[1] == group and not step <= key[0] <= step + self.threads]:
            self.coming.pop((number, one)).cancel()  # somebody began at another step
        for number in range(step, step + 1 + self.threads):
            if (number, group) not in self.coming:
                self.coming[number, group] = self.pool.submit(self.make, number, group)
        return self.coming.pop((step, group)).result()
