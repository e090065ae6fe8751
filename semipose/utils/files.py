"""Files: written whole or not at all, and JSON read with a sentence for each fault."""

import gc
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xxhash
from pydantic_core import from_json

from semipose.utils.errors import InputError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yields a temporary path in the target's folder; on success its file is flushed to disk and renamed to the target.

    On any error the temporary file is removed and the target stays as it was; one of the disk names the target.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")  # the same each time: the next run writes over what a killed one left
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(target)  # what is written to an open file fails without a name
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, by `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def without_collection() -> Iterator[None]:
    """Millions of small lists, none of them garbage: to look through them again and again costs seconds."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def read_bytes(path: Path, remedy: str = "") -> bytes:
    """The content of a file. Raises InputError if it cannot be read; `remedy` says what to do about it."""
    what_now = f"; {remedy}" if remedy else ""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file{what_now}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}{what_now}") from None


def json_bytes(path: Path, remedy: str = "") -> bytes:
    """The content of a JSON file in UTF-8 without a byte order mark, whatever it was saved in. Raises InputError as `read_bytes` does."""
    content = read_bytes(path, remedy)
    encoding = json.detect_encoding(content)
    if encoding == "utf-8":
        return content
    try:
        return content.decode(encoding).encode()
    except UnicodeError:
        return content  # no text in that encoding: the parser says it


def parse_json(content: bytes, label: str, remedy: str = "") -> Any:
    """Raises InputError if it is no JSON, or is cut off; `remedy` says what to do about it."""
    try:
        return from_json(content)
    except ValueError as error:
        reason = f"it is cut off ({error})" if "EOF" in str(error) else str(error)
        raise InputError(f"{label} is not JSON: {reason}{f'; {remedy}' if remedy else ''}") from None


def read_json(path: Path, remedy: str = "") -> Any:
    """The content of a JSON file. Raises InputError if it cannot be read; `remedy` says what to do about it."""
    with without_collection():
        return parse_json(json_bytes(path, remedy), str(path), remedy)


DIGEST = 16  # bytes


def digest(content: bytes | memoryview) -> bytes:
    """What tells whether a stored crop has changed, by a disk or by mistake. XXH3: SHA-256 takes twenty times as long, a quarter of the
    time of cutting people out."""
    return xxhash.xxh3_128_digest(content)
