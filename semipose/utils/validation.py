"""JSON read and checked by a pydantic schema: a fault is one sentence that names file, entry and field."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from semipose.utils.errors import InputError
from semipose.utils.files import read_bytes, without_collection

T = TypeVar("T")
SHOWN = 80  # characters of a wrong value


def read_valid(schema: TypeAdapter[T], source: Path | Any, label: str, remedy: str = "") -> T:
    """Read a JSON file, or take content that was read before; fields that the schema does not know are left out.

    Args:
        label: What a message calls the source.
        remedy: What to do about a fault.

    Raises:
        InputError: The file cannot be read, is not JSON, or does not fit the schema.
    """
    what_now = f"; {remedy}" if remedy else ""
    try:
        with without_collection():
            return schema.validate_json(read_bytes(source, remedy)) if isinstance(source, Path) else schema.validate_python(source)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
    if fault["type"] == "json_invalid":
        raise InputError(f"{label} is not JSON: {fault['msg'].removeprefix('Invalid JSON: ')}{what_now}")
    shown = repr(fault["input"])
    wrong = "" if fault["type"] == "missing" else f", not {shown if len(shown) < SHOWN else shown[:SHOWN] + '...'}"
    said = fault["msg"].removeprefix("Input ").replace("Field required", "is missing")
    raise InputError(f"{label}: {place(fault['loc'])}{said}{wrong}{what_now}")


def place(location: tuple[int | str, ...]) -> str:
    """`annotations[3]: keypoints[5]: `, of ("annotations", 3, "keypoints", 5)."""
    return "".join(f"[{part}]" if isinstance(part, int) else f": {part}" for part in (*location, "")).removeprefix(": ")
