"""Cells of tables: a score or a difference over seeds, as text and as number."""

from collections.abc import Mapping, Sequence, Sized
from typing import NamedTuple

from semipose.reporting.differences import differences, mean_difference, spread
from semipose.reporting.results import Key, Run, Score

NOT_RUN = "not run"
NOTHING = "–"


class Cell(NamedTuple):
    """A cell of a table: its text and the number behind it, with its interval, or one standard
    deviation to each side.
    """

    text: str
    number: Score = Score(None)


def scored(scores: Sequence[Score]) -> Cell:
    """Mean and standard deviation over seeds; for a single one its bootstrap interval."""
    known = [score for score in scores if score.value is not None]
    if not known:
        return Cell("undefined" if scores else NOT_RUN)
    mean, deviation = spread([score.value for score in known if score.value is not None])
    if deviation is not None:
        return Cell(f"{mean:.1f} ± {deviation:.1f}", Score(mean, mean - deviation, mean + deviation))
    _, low, high = known[0]
    return Cell(f"{mean:.1f}" if low is None or high is None else f"{mean:.1f} [{low:.1f}, {high:.1f}]", known[0])


def difference(runs: Mapping[Key, Run | None], method: str | None, reference: str | None, labels: str, seeds: Sequence[int]) -> Cell:
    """Mean of the paired differences of two methods, if there are two, with the standard deviation over seeds if there are several."""
    if method is None or reference is None or method == reference:
        return Cell(NOTHING)
    found = differences(runs, method, reference, labels, seeds)
    if not found:
        return Cell(NOT_RUN)
    mean, low, high = mean_difference(found)
    _, deviation = spread([difference for difference, _ in found])
    text = f"{mean:+.1f}" if deviation is None else f"{mean:+.1f} ± {deviation:.1f}"
    return Cell(text if low is None or high is None else f"{text} [{low:+.1f}, {high:+.1f}]", Score(mean, low, high))


def seed_counts(budgets: Sequence[Sized], asked: int) -> Cell:
    """How many seeds were run: one number, or one for each budget if they differ.

    Args:
        budgets: The runs at each budget.
        asked: How many seeds the grid has.
    """
    texts = [f"{len(runs)}" if len(runs) == asked else f"{len(runs)} of {asked}" for runs in budgets]
    return Cell(" / ".join(texts if len(set(texts)) > 1 else texts[:1]), Score(sum(map(len, budgets))))


def number(value: float) -> str:
    """Three digits, thousands separated."""
    return f"{float(f'{value:.3g}'):,.15g}"
