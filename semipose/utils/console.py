"""How a command ends: with its files written, or with one message."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from semipose.utils.errors import InputError
from semipose.utils.files import write_text
from semipose.utils.progress import shown


@contextmanager
def reported() -> Iterator[None]:
    """Progress is shown; bad input, and a disk that cannot be written, end the command with one message and exit code 1."""
    try:
        with shown("semipose"):
            yield
    except InputError as error:
        message = str(error)
    except OSError as error:
        if error.filename is None:  # no file: a pipe that nobody reads any more
            raise
        message = f"{error.filename2 or error.filename} cannot be read or written: {error.strerror or error}. Name another place"
    else:
        return
    print(f"semipose: {message}", file=sys.stderr)
    raise typer.Exit(1)


def write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=1) + "\n")


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: no folder can be made there: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"--out {folder}: nothing can be written in this folder; name another")
