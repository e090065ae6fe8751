"""JSON checked by a pydantic schema: a fault is one sentence that names file, entry and field."""

import warnings
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from semipose.utils.errors import InputError, InputWarning
from semipose.utils.files import json_bytes, parse_json, without_collection

T = TypeVar("T")
SHOWN = 80  # characters shown of a wrong value


def read_valid(schema: TypeAdapter[T], source: Path | Any, label: str, remedy: str = "") -> T:
    """Check a JSON file, or content that was read before.

    Fields that the schema does not know are ignored.
    A number may be written as text or, if whole, as 17.0; true and false are not numbers.
    An InputWarning says how many such numbers there are.

    Args:
        schema: What the content must fit.
        source: The file, or its content.
        label: What a message calls the source.
        remedy: What to do about a fault; the end of the message.

    Raises:
        InputError: The file cannot be read, is not JSON, or does not fit the schema.
    """
    content = json_bytes(source, remedy) if isinstance(source, Path) else None
    with without_collection():
        try:
            return schema.validate_python(source) if content is None else schema.validate_json(content)
        except ValidationError:
            tree = source if content is None else parse_json(content, label, remedy)
        try:
            found = schema.validate_python(without_booleans(tree), strict=False)
        except ValidationError as error:
            raise InputError(f"{label}: {fault(error)}{f'; {remedy}' if remedy else ''}") from None
    if count := converted(tree, found):
        warnings.warn(f"{label}: {count:,} numbers are written as text, or whole ones as 17.0", InputWarning, stacklevel=2)
    return found


def converted(tree: Any, found: Any) -> int:
    """How many numbers of what was read are something else in the file."""
    if isinstance(found, dict):
        return sum(converted(tree[key], value) for key, value in found.items() if key in tree)
    if isinstance(found, list):
        return sum(converted(one, value) for one, value in zip(tree, found, strict=True))
    return (isinstance(tree, str) and not isinstance(found, str)) or (isinstance(tree, float) and isinstance(found, int))


def without_booleans(tree: Any) -> Any:
    """Replace true and false by text: pydantic would take them
    for 1 and 0 in a field for numbers or text.
    """
    if isinstance(tree, bool):
        return str(tree).lower()
    if isinstance(tree, dict):
        return {key: without_booleans(value) for key, value in tree.items()}
    return [without_booleans(value) for value in tree] if isinstance(tree, list) else tree


def fault(error: ValidationError, *above: int | str) -> str:
    """The first fault: where it is, below the place `above`, and what is wrong."""
    first = error.errors(include_url=False, include_context=False)[0]
    shown = repr(first["input"])
    wrong = "" if first["type"] == "missing" else f", not {shown if len(shown) < SHOWN else shown[:SHOWN] + '...'}"
    said = first["msg"].split(", unable to parse")[0].removeprefix("Input ").replace("Field required", "is missing")
    said = said.replace("a valid list", "a valid array").replace("a valid dictionary", "an object")  # in JSON's words
    return f"{place((*above, *first['loc']))}{said}{wrong}"


def place(location: tuple[int | str, ...]) -> str:
    """The text `annotations[3]: keypoints[5]: ` for ("annotations", 3, "keypoints", 5)."""
    return "".join(f"[{part}]" if isinstance(part, int) else f": {part}" for part in (*location, "")).removeprefix(": ")
