"""Files that are written completely or not at all, and JSON
that is read with one sentence per fault.
"""

import gc
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xxhash
from pydantic_core import from_json

from semipose.utils.errors import InputError

LONG = 250
"""Bytes of a file name: with .tmp it is longer than file systems take."""
COMPANION = "._"
"""Beginning of the files that macOS writes beside each file on a
foreign disk; they have the same suffix.
"""


def is_file(path: Path) -> bool:
    """Whether there is this file; False also for a name that no file can have, where `Path.is_file` raises."""
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path in the target's folder; on success,
    flush its file and rename it to the target.

    On any error the temporary file is removed and the target stays unchanged.
    An OSError then names the target.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # Always the same name: the next run overwrites what a killed one left.
    name = target.name if len(os.fsencode(target.name)) < LONG else hashlib.sha256(os.fsencode(target.name)).hexdigest()
    temporary = target.with_name(f".{name}.tmp")
    try:
        with naming(target):
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an OSError the name of this file; errors of writing to an open file have none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 with `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=1) + "\n")


@contextmanager
def without_collection() -> Iterator[None]:
    """Switch the garbage collector off: it would take seconds
    to go through millions of small lists.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def read_bytes(path: Path, remedy: str = "") -> bytes:
    """Read a file.

    Args:
        path: The file.
        remedy: What to do if it cannot be read; the end of the message.

    Raises:
        InputError: It cannot be read.
    """
    what_now = f"; {remedy}" if remedy else ""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file{what_now}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}{what_now}") from None


def json_bytes(path: Path, remedy: str = "") -> bytes:
    """Read a JSON file in any of its encodings.

    Args:
        path: The file.
        remedy: As for `read_bytes`.

    Returns:
        Its content in UTF-8 without a byte order mark.

    Raises:
        InputError: As `read_bytes`.
    """
    content = read_bytes(path, remedy)
    encoding = json.detect_encoding(content)
    if encoding == "utf-8":
        return content
    try:
        return content.decode(encoding).encode()
    except UnicodeError:
        return content  # not text in that encoding: the parser reports it


def parse_json(content: bytes, label: str, remedy: str = "") -> Any:
    """Parse JSON.

    Args:
        content: The JSON, in UTF-8.
        label: What a message calls the source.
        remedy: What to do about a fault; the end of the message.

    Raises:
        InputError: The content is truncated or not JSON.
    """
    try:
        return from_json(content)
    except ValueError as error:
        reason = f"it is truncated ({error})" if "EOF" in str(error) else str(error)
        raise InputError(f"{label} is not JSON: {reason}{f'; {remedy}' if remedy else ''}") from None


def read_json(path: Path, remedy: str = "") -> Any:
    """Read and parse a JSON file.

    Args:
        path: The file.
        remedy: What to do about a fault; the end of the message.

    Raises:
        InputError: It cannot be read, or is not JSON.
    """
    with without_collection():
        return parse_json(json_bytes(path, remedy), str(path), remedy)


DIGEST = 16  # bytes


def digest(content: bytes | memoryview) -> bytes:
    """Digest that shows whether a stored crop has changed.

    XXH3, because SHA-256 takes twenty times as long: a quarter of the time of cutting people out.
    """
    return xxhash.xxh3_128_digest(content)
