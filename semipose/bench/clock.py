"""Time on a device: rates of work, measured in turn, and the shares of a step's parts."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from typing import NamedTuple

import torch

from semipose.utils.progress import followed


class Rate(NamedTuple):
    """Median, lowest and highest of several rounds."""

    median: float
    low: float
    high: float


def now(device: torch.device) -> float:
    """Seconds, once the device has done all that it was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def rate(work: Callable[[], float], device: torch.device) -> float:
    """Units per second; `work` returns how many units it did."""
    begun = now(device)
    units = work()
    return units / (now(device) - begun)


def in_turn(measure: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Perform several measurements in turn.

    Every round goes through all of them, so that whatever slows the machine down for a while slows
    them alike.
    A first round, which allocates memory and chooses kernels, is not counted.

    Args:
        measure: The measurements by name.
        rounds: Number of rounds that count.

    Returns:
        What each measurement found in each round.
    """
    found: dict[str, list[float]] = {name: [] for name in measure}
    turns = list(product(range(-1, rounds), measure.items()))
    for counted, (name, one) in followed(turns, len(turns), "measurements"):
        value = one()
        if counted >= 0:
            found[name].append(value)
    return found


def gaps(spans: Iterable[tuple[float, float]]) -> tuple[float, list[float]]:
    """When a device did nothing.

    Args:
        spans: Begin and end of what it did; they may overlap.

    Returns:
        The share of the time from the first begin to the last end, 0-1; each gap's length.
    """
    found: list[float] = []
    ordered = sorted(spans)
    begun = until = ordered[0][0]
    for start, end in ordered:
        if start > until:
            found.append(start - until)
        until = max(until, end)
    return sum(found) / (until - begun), found


def spread(values: list[float]) -> Rate:
    return Rate(statistics.median(values), min(values), max(values))


class Clock:
    """Seconds by the name of a part. Parts may lie in one another: each counts its own time, without that of the parts within."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self.within = 0.0  # seconds of finished parts inside the one that runs

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        outside, self.within = self.within, 0.0
        begun = now(self.device)
        try:
            yield
        finally:
            took = now(self.device) - begun
            self.seconds[part] += took - self.within
            self.within = outside + took

    @contextmanager
    def watching(self, part: str, thing: object, *names: str) -> Iterator[None]:
        """Counts the time of these methods of an object, or functions of a module, as that of the part, no matter who calls them."""
        own = {name: vars(thing)[name] for name in names if name in vars(thing)}
        for name in names:
            vars(thing)[name] = self(part)(getattr(thing, name))
        try:
            yield
        finally:
            for name in names:
                del vars(thing)[name]
            vars(thing).update(own)

    def shares(self) -> dict[str, float]:
        """Each part's share of all seconds, 0-1."""
        total = sum(self.seconds.values())
        return {part: seconds / total for part, seconds in self.seconds.items()}
