"""The parts of a check, each in a process beside this one: a part that hangs, dies or loses the GPU takes no other with it."""

import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

import typer

from semipose.utils.workers import end_with

Given = ParamSpec("Given")
Result = TypeVar("Result")

FAILED = ": FAILED"
"""How the name of a row ends whose part has failed."""
START = 120.0
"""Seconds that a process has to import what it needs."""
PATIENCE = 3.0
"""Seconds that a process has to end by itself."""


class Parts:
    """Does parts one after the other, and keeps the table; a context, which leaves no process behind.

    Args:
        seconds: Time for everything, from now on.
        file: Where the table is written after each part.
    """

    def __init__(self, seconds: float, file: Path) -> None:
        self.end, self.file = time.monotonic() + seconds, file
        self.rows: list[tuple[str, str]] = []
        self.worker: tuple[BaseProcess, Connection] | None = None

    def __enter__(self) -> "Parts":
        return self

    def __exit__(self, *error: object) -> None:
        self.renew()

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.end - time.monotonic()

    def do(self, name: str, limit: float, work: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result | None:
        """Perform a part.

        Args:
            name: Its name in the table if it has no result.
            limit: Seconds that it may take, within those that are left; with less than half of them it
                is left out.
            work: What to do, in another process; it and its result can be pickled.
            given: What it is called with.
            named: The same, by name.

        Returns:
            The result; None if there is none, and a row of the table says why.
        """
        if self.left < limit / 2:
            self.found({f"{name}: LEFT OUT": f"it may take {limit:.0f} s, and {max(0.0, self.left):.0f} s are left"})
            return None
        result, ending, begun = None, FAILED, time.monotonic()
        try:
            pipe = self._ready()
            begun, limit = time.monotonic(), min(limit, self.left)
            pipe.send((work, given, named))
            if pipe.poll(limit):
                result, said = pipe.recv()
            else:
                ending, said = ": CUT OFF", f"it took longer than {limit:.0f} s"
        except (EOFError, OSError):
            said = f"its process gave no answer (exit code {self.renew()})"
        typer.echo(f"{name}: {time.monotonic() - begun:.0f} s")
        if said:
            self.found({name + ending: said})
            self.renew()  # after an error of CUDA, its process can compute nothing more
        return cast(Result, result)

    def found(self, rows: dict[str, str]) -> None:
        """Add rows, and write the table."""
        self.rows += rows.items()
        self.file.write_text(self.table, encoding="utf-8")

    @property
    def table(self) -> str:
        width = max((len(what) for what, _ in self.rows), default=0)
        return "".join(f"{what:<{width}} | {found}\n" for what, found in self.rows)

    def renew(self) -> int | None:
        """End the process, and those that it has begun, and return its exit code.

        The next part has a new one, with the environment that there is then.
        """
        if not self.worker:
            return None
        process, pipe = self.worker
        self.worker = None
        pipe.close()  # upon which it ends, if it can
        process.join(PATIENCE)
        code = process.exitcode
        with suppress(ProcessLookupError):
            os.killpg(cast(int, process.pid), signal.SIGKILL)
        process.kill()
        process.join(PATIENCE)
        return code if code is not None else process.exitcode

    def _ready(self) -> Connection:
        """The pipe to a process that has imported what it needs, so that this counts for no part."""
        if not self.worker:
            context = get_context("spawn")
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, os.getpid()))
            process.start()
            there.close()
            self.worker = process, here
            if not here.poll(min(START, self.left)):
                raise TimeoutError
            here.recv()
        return self.worker[1]


def _serve(asked: Connection, parent: int) -> None:
    """Perform what is asked for. All that is begun here is of one group of processes, and ends with it."""
    os.setpgid(0, 0)
    end_with(parent, partial(os.killpg, 0, signal.SIGKILL))
    asked.send("ready")
    while True:
        try:
            work, given, named = asked.recv()
        except EOFError:
            return
        try:
            asked.send((work(*given, **named), ""))
        except Exception as error:  # whatever it is, the other parts are worth their minutes
            traceback.print_exc()
            asked.send((None, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"))
