"""How many labels a method saves: with how many labels the supervised baseline is as good."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from semipose.reporting.results import BASELINE, Grid, Key, Run

FEWER, MORE = 0.0, math.inf
"""Answers of a resample whose score the learning curve does not have: below its first one, above its last one."""


def labels_for(curve: Mapping[int, float], score: float) -> float | None:
    """The smallest number of labelled people with which a learning curve reaches a score.

    Between two budgets, the score is linear in the logarithm of the number.

    Args:
        curve: Labelled people -> score, in rising order.
        score: The score to reach.

    Returns:
        A number from the smallest budget to the largest; None if the curve does not reach the score, or begins above it.
    """
    points = list(curve.items())
    if not points or score < points[0][1]:
        return None
    for (few, low), (many, high) in pairwise(points):
        if low <= score <= high and high > low:
            return math.exp(math.log(few) + (score - low) / (high - low) * math.log(many / few))
    return None


class Saved(NamedTuple):
    """With how many labels a baseline is as good as a method.

    Attributes:
        method: Entry of `method`.
        baseline: Another entry.
        labelled: Labelled people of the method.
        needed: Labelled people of the baseline.
        interval: 95 % interval of `needed`, in brackets; "" without resamples.
        seeds: Over which seeds, in words.
    """

    method: str
    baseline: str
    labelled: int
    needed: float
    interval: str
    seeds: str

    @property
    def times(self) -> str:
        """How many times as many labels the baseline needs."""
        return f"{self.needed / self.labelled:.1f} times"

    def __str__(self) -> str:
        who = f"With {self.labelled:,} labels, {self.method} is as good as {self.baseline}"
        return f"{who} with {self.needed:,.0f}{self.interval and ' ' + self.interval} ({self.times}; {self.seeds})."


def labels_saved(runs: Mapping[Key, Run], sweep: Grid, method: str, baseline: str = BASELINE) -> list[Saved]:
    """Find at each budget with how many labels the baseline is as good.

    Each seed has its own learning curve, because it has its own labelled people.
    The number is the geometric mean over the seeds whose curve has the score, and `Saved` says of how many:
    a curve may end below it, or begin above it.
    Its 95 % interval is the bootstrap's over validation people.

    Args:
        runs: The finished runs.
        sweep: Budgets and seeds.
        method: Entry of `method`.
        baseline: Another entry.

    Returns:
        One for each budget at which the curve of some seed reaches the method's score.
    """
    saved = []
    for labels in sweep.labels:
        own = [run for seed in sweep.seeds if (run := runs.get((method, labels, seed))) and run.score.value is not None]
        found = {run.seed: number for run in own if (number := _needed(_curve(runs, sweep, baseline, run.seed), run)) is not None}
        if found:
            curves = {run.seed: _curve(runs, sweep, baseline, run.seed) for run in own}
            asked = sum(len(curve) > 1 for curve in curves.values())
            many = math.exp(sum(map(math.log, found.values())) / len(found))
            between = _interval([_resampled(curves[run.seed], run) for run in own if run.seed in found], [curves[seed] for seed in found])
            seeds = f"{len(found)} of {asked} seeds" if len(found) < asked else "one seed" if asked == 1 else f"{asked} seeds"
            saved.append(Saved(method, baseline, own[0].labelled, many, between, seeds))
    return saved


Curve = Mapping[int, Run]  # labelled people -> run of one seed, in rising order


def _curve(runs: Mapping[Key, Run], sweep: Grid, method: str, seed: int) -> Curve:
    known = [run for labels in sweep.labels if (run := runs.get((method, labels, seed))) and run.score.value is not None]
    return {run.labelled: run for run in sorted(known, key=lambda run: run.labelled)}


def _needed(curve: Curve, run: Run) -> float | None:
    return labels_for({labelled: other.score.value or 0.0 for labelled, other in curve.items()}, run.score.value or 0.0)


def _resampled(curve: Curve, run: Run) -> list[float]:
    """The number in each resample; FEWER or MORE outside the curve, [] if a run has no resamples."""
    numbers = []
    for k in range(min(len(one.resamples) for one in (run, *curve.values()))):
        scores = {labelled: other.resamples[k] for labelled, other in curve.items()}
        number = labels_for(scores, run.resamples[k])
        numbers.append(number or (FEWER if run.resamples[k] < next(iter(scores.values())) else MORE))
    return numbers


def _interval(numbers: Sequence[Sequence[float]], curves: Sequence[Curve]) -> str:
    """The interval of the geometric mean over seeds, in brackets; "" without resamples."""
    if not all(numbers):
        return ""
    with np.errstate(divide="ignore"):
        means = np.log(np.array(numbers)).mean(axis=0)
    low, high = np.exp(np.quantile(means, (0.025, 0.975), method="nearest"))
    fewest, most = min(map(min, curves)), max(map(max, curves))
    return f"[{f'{low:,.0f}' if low > FEWER else f'fewer than {fewest:,}'}, {f'{high:,.0f}' if high < MORE else f'more than {most:,}'}]"
