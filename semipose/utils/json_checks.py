"""Values of a JSON file, checked: each fault is a sentence that names file, entry and field."""

import math
from typing import Any

import numpy as np

from semipose.utils.errors import InputError


def is_object(value: Any, place: str) -> None:
    """Raise InputError, beginning with the place (file and index), unless the value is a JSON object."""
    if not isinstance(value, dict):
        raise InputError(f"{place}: must be an object with named fields, is {type(value).__name__}")


def number(record: dict[str, Any], field: str, place: str) -> float:
    """A finite number. Raises InputError, beginning with the place (file and index)."""
    if field not in record:
        raise InputError(f"{place}: {field} is missing, must be a finite number")
    return _finite(record[field], f"{place}: {field}")


def numbers(record: dict[str, Any], field: str, count: int, place: str) -> list[float]:
    """A list of so many finite numbers. Raises InputError, beginning with the place (file and index)."""
    values = record.get(field)
    if not isinstance(values, list | tuple) or len(values) != count:
        found = f"has {len(values)} numbers" if isinstance(values, list | tuple) else f"is {values!r}"
        each = f" (3 for each of {count // 3} joints)" if field == "keypoints" else ""
        raise InputError(f"{place}: {field} {found}, must be a list of {count} numbers{each}")
    if set(map(type, values)) == {float} and math.isfinite(sum(values)):  # the common case; what it says of all needs no look at each
        return list(values)
    return [_finite(value, f"{place}: {field}[{index}]") for index, value in enumerate(values)]


def _finite(value: Any, name: str) -> float:
    # Python's reader of JSON knows NaN, and whole numbers beyond a float's range.
    try:
        found = float(value) if isinstance(value, int | float | np.number) and not isinstance(value, bool) else math.nan
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise InputError(f"{name} is {value!r}, must be a finite number")
    return found
