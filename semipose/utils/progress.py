"""Progress of long work: a bar on a terminal, and now and then a line elsewhere, as in a job's log.

The library counts (`Progress`, `followed`); a program switches the display on (`shown`).
Without a program, in Python, nothing is shown.
"""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self, TypeVar

from tqdm import tqdm

T = TypeVar("T")

PAUSES = (10.0, 300.0)
"""Shortest and longest pause between two lines, in seconds;
in between, a tenth of the elapsed time.
"""
KNOWN = 1.0
"""Seconds since the first unit before speed and remaining time are shown."""
LINE = "{desc}: {n_fmt}/{total_fmt}{unit} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"

_program: ContextVar[str | None] = ContextVar("program", default=None)  # the program that shows progress; None: nothing is shown


@contextmanager
def shown(program: str | None) -> Iterator[None]:
    """Show progress on standard error under the program's name
    inside the block; None switches it off.
    """
    token = _program.set(program)
    try:
        yield
    finally:
        _program.reset(token)


class Progress(tqdm):
    """Shows how much is done, how fast, and how long the rest will take; nested Progress is silent.

    The bar disappears at the end.
    Lines begin after ten seconds, so a log has none of short work, and become rarer.
    Work that had a line also ends with one, unless it fails.
    The speed is that since the first unit, which has the start-up in it: imports, worker processes.

    Args:
        total: Number of units; None if unknown.
        unit: Name of the units; `bytes` are shown as k, M ...
        done: Units that an earlier run did.
    """

    monitor_interval = 0  # no thread of tqdm: `advance` prints

    def __init__(self, total: int | None, unit: str, name: str = "", done: int = 0) -> None:
        program = _program.get()
        self.bar, self.said = sys.stderr.isatty(), False
        self.first: tuple[float, int] | None = None  # seconds and units when the first was done
        title, pause = ", ".join(filter(None, (program, name))), 0.25 if self.bar else PAUSES[0]
        super().__init__(
            desc=title,
            total=total,
            initial=done,
            unit=f" {unit}",
            unit_scale=unit == "bytes",
            disable=program is None,
            bar_format=None if self.bar else LINE,
            dynamic_ncols=self.bar,
            mininterval=pause,
            delay=0 if self.bar else pause,
            miniters=1,
            leave=False,
        )

    def __enter__(self) -> Self:
        self.outside = _program.set(None)
        return self

    def __exit__(self, *raised: object) -> None:
        _program.reset(self.outside)
        if self.said and not any(raised):
            self.display()
        self.close()

    @property
    def format_dict(self) -> Mapping[str, Any]:
        """What tqdm shows; a rate of 0 is shown as a question mark."""
        fields, (begun, units) = super().format_dict, self.first or (math.inf, 0)
        past = fields["elapsed"] - begun
        return {**fields, "rate": (self.n - units) / past if past >= KNOWN else 0}

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Show the bar, or a line; an empty `msg` clears it.

        Returns:
            Whether there is a bar to wipe away.
        """
        if self.bar:
            return super().display(msg, pos)
        if msg is None:
            self.said = True
            print(self, file=self.fp, flush=True)
        return False

    def advance(self, units: int = 1) -> None:
        if self.first is None:
            self.first = super().format_dict["elapsed"], self.n + units
        if self.update(units) and not self.bar:
            self.mininterval = min(max((self.last_print_t - self.start_t) / 10, PAUSES[0]), PAUSES[1])

    def note(self, text: str) -> None:
        """Set the text behind the figures."""
        self.set_postfix_str(text, refresh=False)


def followed(things: Iterable[T], total: int | None, unit: str, name: str = "") -> Iterator[T]:
    """Yield the things one by one, and count them in a Progress."""
    with Progress(total, unit, name) as progress:
        for thing in things:
            yield thing
            progress.advance()
