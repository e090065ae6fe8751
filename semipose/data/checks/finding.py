"""The findings of the doctor about a data set."""

from dataclasses import dataclass
from typing import Literal

SHOWN = 3  # examples of a finding


@dataclass(frozen=True)
class Finding:
    """Something about a data set that its user should know.

    Attributes:
        grade: stops: training would stop here; check: a person
            should check it; note: handled automatically.
        part: "train", "val", or both with "and".
        text: What is wrong, with a count.
        examples: The first few places.
    """

    grade: Literal["stops", "check", "note"]
    part: str
    text: str
    examples: tuple[str, ...] = ()


def several(grade: Literal["stops", "check", "note"], part: str, what: str, where: list[str], of: int | None = None) -> list[Finding]:
    """Make one finding about all of these places ("17 of 500 <what>"), or none.

    Args:
        grade: As in Finding.
        part: As in Finding.
        what: What is wrong there; the count comes before it.
        where: The places, of which the first few are named.
        of: Number of all places; None: it is not said.
    """
    if not where:
        return []
    total = "" if of is None else f" of {of:,}"
    return [Finding(grade, part, f"{len(where):,}{total} {what}", tuple(where[:SHOWN]))]
