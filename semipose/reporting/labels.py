"""How many labels a method saves: with how many labels the supervised baseline is as good."""

import math
import statistics
from collections.abc import Mapping
from itertools import pairwise

from semipose.reporting.results import Grid, Key, Run

BASELINE = "supervised"


def learning_curve(runs: Mapping[Key, Run], sweep: Grid, method: str) -> dict[int, float]:
    """Labelled people -> the headline metric, a mean over the seeds of the sweep; in rising order of labelled people."""
    scores: dict[int, list[float]] = {}
    for labels in sweep.labels:
        for seed in sweep.seeds:
            run = runs.get((method, labels, seed))
            if run is not None and run.score.value is not None:
                scores.setdefault(run.labelled, []).append(run.score.value)
    return {labelled: statistics.fmean(values) for labelled, values in sorted(scores.items())}


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
    for (few, low), (many, high) in pairwise(points):
        if low <= score <= high and high > low:
            return math.exp(math.log(few) + (score - low) / (high - low) * math.log(many / few))
    return None


def labels_saved(runs: Mapping[Key, Run], sweep: Grid, method: str, baseline: str = BASELINE) -> list[str]:
    """Sentences, one for each budget at which the baseline's learning curve reaches the method's score."""
    curve, sentences = learning_curve(runs, sweep, baseline), []
    for labelled, score in learning_curve(runs, sweep, method).items():
        needed = labels_for(curve, score)
        if needed is not None:
            sentences.append(
                f"With {labelled:,} labels, {method} is as good as {baseline} with {needed:,.0f} ({needed / labelled:.1f} times as many)."
            )
    return sentences
