"""Paired differences of two methods, seed by seed; their mean, and the spread over seeds."""

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from semipose.evaluation.metrics.statistics import interval
from semipose.reporting.results import Key, Run, Score


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard deviation (n - 1; None for a single value)."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def differences(
    runs: Mapping[Key, Run | None], method: str, reference: str, labels: str, seeds: Iterable[int]
) -> list[tuple[float, NDArray[np.float64]]]:
    """Compute the headline metric, method minus reference, for each seed that both have run.

    Args:
        runs: The finished runs.
        method: Entry of `method`.
        reference: Another entry.
        labels: The budget.
        seeds: The seeds wanted.

    Returns:
        For each seed the difference, and the difference in each resample [B] of the validation set
        (empty if a run has no resamples).
    """
    found = []
    for seed in seeds:
        ours, theirs = runs.get((method, labels, seed)), runs.get((reference, labels, seed))
        if ours and theirs and ours.score.value is not None and theirs.score.value is not None:
            resamples = np.subtract(ours.resamples, theirs.resamples) if len(ours.resamples) == len(theirs.resamples) else np.empty(0)
            found.append((ours.score.value - theirs.score.value, resamples))
    return found


def uneven(runs: Mapping[Key, Run | None], methods: Collection[str], labels: Iterable[str], seeds: Sequence[int]) -> list[str]:
    """The note that a table needs if two of its rows have run different seeds at the same budget."""
    for budget in labels:
        run = {tuple(seed for seed in seeds if runs.get((method, budget, seed))) for method in methods}
        if len(run - {()}) > 1:
            return ["A difference uses only the seeds that both runs have, so it need not equal the difference of the columns."]
    return []


def mean_difference(found: Sequence[tuple[float, NDArray[np.float64]]]) -> Score:
    """Mean over seeds, with the paired bootstrap's 95 % interval: how far other validation people would move it."""
    value = statistics.fmean(difference for difference, _ in found)
    if len({len(resamples) for _, resamples in found}) > 1 or not len(found[0][1]):
        return Score(value)
    return Score(*interval(value, np.mean([resamples for _, resamples in found], axis=0)))
