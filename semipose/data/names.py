"""Names of files and folders that are written into results and sets."""

import os
import unicodedata
from pathlib import Path, PurePosixPath

from semipose.utils.errors import InputError
from semipose.utils.files import is_file


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


def composed(name: str) -> str:
    """A name with each accent in its letter (NFC), for comparisons: macOS writes é as e and an accent (NFD)."""
    return unicodedata.normalize("NFC", name)


def base_name(name: str) -> str:
    """A file's name without the folders before it, also Windows' folders; for comparisons, as `composed`."""
    return composed(PurePosixPath(name.replace("\\", "/")).name)


def is_other_form(path: Path) -> bool:
    """Whether there is no such file, but one whose name differs only in how its accents are written."""
    return not is_file(path) and path.parent.is_dir() and any(composed(one.name) == composed(path.name) for one in path.parent.iterdir())
