"""How a command ends: with its files written, or with one message."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from semipose.utils import files
from semipose.utils.errors import InputError
from semipose.utils.progress import shown


@contextmanager
def reported() -> Iterator[None]:
    """Progress is shown; bad input, and a disk that cannot be written, end the command with one message and exit code 1."""
    try:
        with shown("semipose"):
            yield
    except InputError as error:
        print(f"semipose: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    try:
        files.write_text(path, text)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}. Name another place") from None


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: no folder can be made there: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"--out {folder}: nothing can be written in this folder; name another")
