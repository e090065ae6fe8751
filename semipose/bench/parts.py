"""The parts of a check, each in a process beside this one: a part that hangs, dies or loses the GPU takes no other with it."""

import os
import time
from collections.abc import Callable
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
PATIENCE = 3
"""Seconds that a process has to end by itself."""


class Parts:
    """Does parts one after the other, and keeps the table.

    Args:
        seconds: Time for everything, from now on.
        file: Where the table is written after each part.
    """

    def __init__(self, seconds: float, file: Path) -> None:
        self.end, self.file = time.monotonic() + seconds, file
        self.rows: list[tuple[str, str]] = []
        self.worker: tuple[BaseProcess, Connection] | None = None

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
        process, pipe = self.worker = self.worker or _begun()
        begun, limit = time.monotonic(), min(limit, self.left)
        pipe.send((work, given, named))
        if not pipe.poll(limit):
            result, why = None, {f"{name}: CUT OFF": f"it took longer than {limit:.0f} s"}
        else:
            try:
                result, error = pipe.recv()
                why = {name + FAILED: error} if error else {}
            except EOFError:
                process.join()
                result, why = None, {name + FAILED: f"its process ended (exit code {process.exitcode})"}
        typer.echo(f"{name}: {time.monotonic() - begun:.0f} s")
        self.found(why)
        if why:  # after an error of CUDA, its process can compute nothing more
            self.renew()
        return cast(Result, result)

    def found(self, rows: dict[str, str]) -> None:
        """Add rows, and write the table."""
        self.rows += rows.items()
        self.file.write_text(self.table, encoding="utf-8")

    @property
    def table(self) -> str:
        width = max((len(what) for what, _ in self.rows), default=0)
        return "".join(f"{what:<{width}} | {found}\n" for what, found in self.rows)

    def renew(self) -> None:
        """End the process; the next part has a new one, with the environment that there is then."""
        if self.worker:
            process, pipe = self.worker
            pipe.close()  # upon which it ends, if it can
            process.join(PATIENCE)
            process.kill()
            process.join()
            self.worker = None


def _begun() -> tuple[BaseProcess, Connection]:
    """A process that is ready: what it imports counts for no part."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, os.getpid()))
    process.start()
    there.close()
    here.recv()
    return process, here


def _serve(asked: Connection, parent: int) -> None:
    end_with(parent)
    asked.send("ready")
    while True:
        try:
            work, given, named = asked.recv()
        except EOFError:
            return
        result, error = None, ""
        try:
            result = work(*given, **named)
        except Exception as raised:  # whatever it is, the other parts are worth their minutes
            error = f"{type(raised).__name__}: {(str(raised).splitlines() or [''])[0][:200]}"
        asked.send((result, error))
