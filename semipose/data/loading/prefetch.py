"""Prefetching: threads make what the next steps need, and
send it to the GPU, while this step computes.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

Made = TypeVar("Made")
Sent = TypeVar("Sent")

CORES = (
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
)  # CPUs that this job may use, if the system says so
THREADS = min(8, CORES)


def each(tensors: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Apply `change` to every tensor of a named tuple, at any depth."""
    if isinstance(tensors, Tensor):
        return change(tensors)
    return type(tensors)(*(each(one, change) for one in tensors)) if isinstance(tensors, tuple) else tensors


class Prefetch(Generic[Made]):
    """Calls `make(step, group)`, a pure function, for the next `threads` steps of a group whenever
    one of its steps is asked for.

    Steps from `end` on are not made.
    An error is raised when its step is asked for.
    """

    def __init__(
        self, make: Callable[[int, int], Made], threads: int = THREADS, end: int | None = None, begin: Callable[[], None] | None = None
    ) -> None:
        """Make a Prefetch.

        Args:
            make: A pure function of step and group.
            threads: Number of threads, and of steps that are made in advance.
            end: Steps from here on are not made; None: there is no end.
            begin: What each thread does first.
        """
        self.make, self.threads, self.end = make, threads, end
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="reader", initializer=begin)
        self.coming: dict[tuple[int, int], Future[Made]] = {}

    def __call__(self, step: int, group: int = 0) -> Made:
        for number, one in [key for key in self.coming if key[1] == group and not step <= key[0] <= step + self.threads]:
            self.coming.pop((number, one)).cancel()  # the caller started at another step
        after = step + 1 + self.threads
        for number in range(step, after if self.end is None else min(after, self.end)):
            if (number, group) not in self.coming:
                self.coming[number, group] = self.pool.submit(self.make, number, group)
        return self.coming.pop((step, group)).result()

    def close(self) -> None:
        """Forget what is being made; nothing more may be asked for."""
        self.pool.shutdown(cancel_futures=True)
        self.coming.clear()


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One stream for everything that is sent to a GPU: memory
    that one feed frees is used by the next.
    """
    return torch.cuda.Stream(device)


class ToGPU(Generic[Sent]):
    """The tensors of `read(step, group)` on a GPU, prefetched.

    They travel from pinned memory on a separate stream, while the
    step before computes; `end` as for Prefetch.
    """

    def __init__(self, read: Callable[[int, int], Sent], device: torch.device, end: int | None = None) -> None:
        self.read, self.stream = read, _stream(device)
        # A thread starts on GPU 0; returning to it after each batch would open it in every training of the machine.
        self.prefetch = Prefetch(self._sent, end=end, begin=partial(torch.cuda.set_device, self.stream.device))

    def __call__(self, step: int, group: int = 0) -> Sent:
        tensors, arrived = self.prefetch(step, group)
        now = torch.cuda.current_stream(self.stream.device)
        now.wait_event(arrived)

        def held(tensor: Tensor) -> Tensor:
            tensor.record_stream(now)  # its memory is not given to a later batch before this stream has finished with it
            return tensor

        return each(tensors, held)

    def close(self) -> None:
        """Free the memory of prefetched batches; nothing more may be asked for."""
        self.prefetch.close()

    def _sent(self, step: int, group: int) -> tuple[Sent, torch.cuda.Event]:
        with torch.cuda.stream(self.stream):
            tensors = each(self.read(step, group), lambda tensor: tensor.pin_memory().to(self.stream.device, non_blocking=True))
            return tensors, self.stream.record_event()
