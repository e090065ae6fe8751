"""How far a long work is: a bar on a terminal; elsewhere, as in the log of a job, a line now and then.

The library says what it counts (`Progress`, `followed`); a program says that people watch (`shown`). Called from Python it is silent.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Self, TypeVar

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

T = TypeVar("T")

PAUSES = (10.0, 300.0)
"""Seconds between two lines, at least and at most; between these a tenth of the time that has gone by."""

_program: ContextVar[str | None] = ContextVar("program", default=None)  # that shows its progress; None: nothing is shown


@contextmanager
def shown(program: str | None) -> Iterator[None]:
    """Within, progress is shown on standard error under the program's name; None: it is not."""
    token = _program.set(program)
    try:
        yield
    finally:
        _program.reset(token)


class Progress:
    """Says how much of a work is done, how fast it goes and how long the rest will take; works within it are silent.

    total: units of the work, None where nobody knows; unit: their name (`bytes` are shown as kB, MB ...); done: units that an earlier run
    did. The bar goes when the work ends. Lines begin after ten seconds, so that a log has none of a short work, and become rarer; one
    that had any ends with one, unless it fails.
    """

    def __init__(self, total: int | None, unit: str, name: str = "", done: int = 0) -> None:
        program, console = _program.get(), Console(stderr=True)
        self.lines = program is not None and not console.is_interactive
        # Standard output stays what it is: beside the terminal it may be a file.
        self.bar = Bar(
            *(TextColumn("{task.description}"), BarColumn(), _Figures()),
            console=console,
            transient=True,
            refresh_per_second=4,
            redirect_stdout=False,
            disable=program is None or self.lines,
        )
        title = ", ".join(filter(None, (program, name)))
        self.id = self.bar.add_task(title, total=total, completed=done, unit=unit, note="")
        self.begun = self.told = self.bar.get_time()

    def __enter__(self) -> Self:
        self.outside = _program.set(None)
        self.bar.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.bar.stop()
        _program.reset(self.outside)
        if self.told > self.begun and not any(raised):
            self._tell()

    def advance(self, units: int = 1) -> None:
        self.bar.advance(self.id, units)
        now = self.bar.get_time()
        if self.lines and not self.bar.finished and now - self.told >= min(max((now - self.begun) / 10, PAUSES[0]), PAUSES[1]):
            self.told = now
            self._tell()

    def note(self, text: str) -> None:
        """What stands behind the figures from now on."""
        self.bar.update(self.id, note=text)

    def _tell(self) -> None:
        (task,) = self.bar.tasks
        print(f"{task.description}: {figures(task)}", file=sys.stderr, flush=True)


def followed(things: Iterable[T], total: int | None, unit: str, name: str = "") -> Iterator[T]:
    """The things one by one, under a Progress that counts them."""
    with Progress(total, unit, name) as progress:
        for thing in things:
            yield thing
            progress.advance()


class _Figures(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(figures(task))


def figures(task: Task) -> str:
    """Units done and of how many, units per second, time left (at the end: taken), note."""
    unit = task.fields["unit"]
    amounts = [_amount(number, unit) for number in (task.completed, task.total) if number is not None]
    said = [" of ".join(amounts) + ("" if unit == "bytes" else f" {unit}")]
    if speed := task.finished_speed or task.speed:
        said.append(f"{_amount(speed, unit)}/s")
    if task.finished:
        said.append(f"{_clock(task.finished_time)} taken")
    elif task.time_remaining is not None:
        said.append(f"{_clock(task.time_remaining)} left")
    return ", ".join(said + [task.fields["note"]] * bool(task.fields["note"]))


def _amount(number: float, unit: str) -> str:
    if unit == "bytes":
        return decimal(int(number))
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.2g}"


def _clock(seconds: float | None) -> str:
    return str(timedelta(seconds=round(seconds or 0)))
