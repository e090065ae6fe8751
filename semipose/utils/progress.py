"""How far a long work is: a bar on a terminal; elsewhere, as in the log of a job, a line now and then.

The library says what it counts (`Progress`, `followed`); a program says that people watch (`shown`). Called from Python it is silent.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Self, TypeVar

from tqdm import tqdm

T = TypeVar("T")

PAUSES = (10.0, 300.0)
"""Seconds between two lines, at least and at most; between these a tenth of the time that has gone by."""
LINE = "{desc}: {n_fmt}/{total_fmt}{unit} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"

_program: ContextVar[str | None] = ContextVar("program", default=None)  # that shows its progress; None: nothing is shown


@contextmanager
def shown(program: str | None) -> Iterator[None]:
    """Within, progress is shown on standard error under the program's name; None: it is not."""
    token = _program.set(program)
    try:
        yield
    finally:
        _program.reset(token)


class Progress(tqdm):
    """Says how much of a work is done, how fast it goes and how long the rest will take; works within it are silent.

    total: units of the work, None where nobody knows; unit: their name (`bytes` are shown as k, M ...); done: units that an earlier run
    did. The bar goes when the work ends. Lines begin after ten seconds, so that a log has none of a short work, and become rarer; one
    that had any ends with one, unless it fails.
    """

    monitor_interval = 0  # no thread of tqdm's: who advances prints

    def __init__(self, total: int | None, unit: str, name: str = "", done: int = 0) -> None:
        program = _program.get()
        self.bar, self.said = sys.stderr.isatty(), False
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

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """The bar, or a line; an empty `msg`: nothing any more. Is there a bar to be wiped away?"""
        if self.bar:
            return super().display(msg, pos)
        if msg is None:
            self.said = True
            print(self, file=self.fp, flush=True)
        return False

    def advance(self, units: int = 1) -> None:
        if self.update(units) and not self.bar:
            self.mininterval = min(max((self.last_print_t - self.start_t) / 10, PAUSES[0]), PAUSES[1])

    def note(self, text: str) -> None:
        """What stands behind the figures from now on."""
        self.set_postfix_str(text, refresh=False)


def followed(things: Iterable[T], total: int | None, unit: str, name: str = "") -> Iterator[T]:
    """The things one by one, under a Progress that counts them."""
    with Progress(total, unit, name) as progress:
        for thing in things:
            yield thing
            progress.advance()
