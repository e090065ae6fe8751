"""Values that differ between budgets of labels."""

from typing import TypeVar

T = TypeVar("T")


def by_budget(value: T | dict[str, T], labels: str) -> T:
    """The value for a budget, of one number for all budgets or a map by budget."""
    return value[labels] if isinstance(value, dict) else value
