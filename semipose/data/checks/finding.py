"""What the doctor has to say of a data set."""

from dataclasses import dataclass
from typing import Literal

SHOWN = 3  # examples of a finding


@dataclass(frozen=True)
class Finding:
    """stops: `dvc repro` would stop here. look: it would not, but somebody should look. note: what it does of its own accord.

    part: "train", "val", or both with "and"; text: what is the matter, with a count; examples: where, the first few."""

    grade: Literal["stops", "look", "note"]
    part: str
    text: str
    examples: tuple[str, ...] = ()


def several(grade: Literal["stops", "look", "note"], part: str, what: str, where: list[str], of: int | None = None) -> list[Finding]:
    """One finding about all of these places ("17 of 500 <what>"), or none."""
    if not where:
        return []
    total = "" if of is None else f" of {of:,}"
    return [Finding(grade, part, f"{len(where):,}{total} {what}", tuple(where[:SHOWN]))]
