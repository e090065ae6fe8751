"""How a command ends: with its files written, or with one message."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from semipose.utils.errors import InputError, InputWarning
from semipose.utils.progress import shown


@contextmanager
def reported() -> Iterator[None]:
    """Show progress and warnings; end the command with one
    message and exit code 1 on a known error.

    Known errors are bad input and a disk that cannot be written.
    """
    try:
        with shown("semipose"), warnings.catch_warnings():
            warnings.simplefilter("always", InputWarning)
            usual = warnings.showwarning

            def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
                if issubclass(category, InputWarning):
                    warn(str(message))
                else:
                    usual(message, category, *where)

            warnings.showwarning = show  # type: ignore[assignment]
            yield
    except InputError as error:
        message = str(error)
    except OSError as error:
        if error.filename is None:  # no file: a pipe whose reader has gone
            raise
        message = f"{error.filename2 or error.filename} cannot be read or written: {error.strerror or error}; name another place"
    else:
        return
    print(f"semipose: {message}", file=sys.stderr)
    raise typer.Exit(1)


def warn(text: str) -> None:
    """Print a warning to standard error."""
    print(f"semipose: warning: {text}", file=sys.stderr)


def make_folder(folder: Path) -> None:
    """Make the folder of `--out`, if it does not exist.

    Raises:
        InputError: It cannot be made, or cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: this folder cannot be made ({error.strerror}); name another") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"--out {folder}: this folder cannot be written; name another")
