"""Values that differ between budgets of labels."""

from typing import TypeVar

T = TypeVar("T")


def by_budget(value: T | dict[str, T], labels: str) -> T:
    """The value for a budget: the number itself, or the map's value for this budget."""
    return value[labels] if isinstance(value, dict) else value
