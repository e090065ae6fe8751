"""Names of files and folders that are written into results and sets."""

import os
from pathlib import Path

from semipose.utils.errors import InputError


def check_name(path: Path) -> None:
    """Refuse a path whose bytes are not UTF-8: no JSON or CSV can have it.

    Raises:
        InputError: Names the path, with these bytes as \\xe9.
    """
    name = os.fsencode(path)
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{name.decode('utf-8', 'backslashreplace')}: its name is not UTF-8, as results and sets are; rename it") from None
