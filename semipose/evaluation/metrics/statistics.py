"""Percentile bootstrap: how far a metric would move with other people in the validation set.

A *statistic* maps weights [B, n] to named values [B], NaN if undefined.
The weights say how often each of n units (people or images) is in each of B resamples.
Weights of one give the metric itself; `Matches.metrics` and `Hits.metrics` are statistics.
Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Statistic = Callable[[NDArray[np.int64]], dict[str, NDArray[np.float64]]]


class Measure(NamedTuple):
    """A metric and its interval, in the unit of the metric."""

    value: float
    low: float
    high: float


def sample_weights(units: int, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Sample as many units as there are, with replacement, several times.

    Args:
        units: Number of units.
        count: Number of samples.
        generator: For all of them.

    Returns:
        How often each unit was sampled, [count, units].
    """
    if units == 0:
        return np.zeros((count, 0), np.int64)
    return generator.multinomial(units, np.full(units, 1.0 / units), size=count)


def resampled(statistic: Statistic, units: int, count: int, generator: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Compute every value of a statistic in each resample.

    Args:
        statistic: The statistic.
        units: Number of its people or images.
        count: Number of resamples.
        generator: Equal generators give equal resamples.

    Returns:
        [count] of each value, by name.
    """
    return statistic(sample_weights(units, count, generator))


def intervals(statistic: Statistic, units: int, resamples: dict[str, NDArray[np.float64]], level: float = 0.95) -> dict[str, Measure]:
    """Compute every value of a statistic with its interval.

    Args:
        statistic: The statistic.
        units: Number of its people or images.
        resamples: Its values in the resamples, of `resampled`.
        level: Of the interval, 0-1.

    Returns:
        The values by name; -1, -1, -1 if undefined, as in COCO.
    """
    values = statistic(np.ones((1, units), np.int64))
    undefined = Measure(-1.0, -1.0, -1.0)
    return {name: undefined if np.isnan(value[0]) else interval(value[0], resamples[name], level) for name, value in values.items()}


def interval(value: float, resamples: NDArray[np.float64], level: float = 0.95) -> Measure:
    """Compute the interval of a value from its values in the resamples.

    For a difference of two sets of predictions, `resamples` is the difference of their values in the
    same resamples (the paired bootstrap).
    An easy or a hard resample moves both alike, so this interval is narrower than two separate ones
    would suggest.

    Args:
        value: The value.
        resamples: In each resample, [B]; NaN if undefined there.
        level: Of the interval, 0-1.
    """
    # A resample can miss every person that a value needs (all small ones, say): it says nothing about that value.
    defined = resamples[~np.isnan(resamples)]
    if not len(defined):
        return Measure(float(value), float(value), float(value))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Measure(float(value), float(low), float(high))


def rank_correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Spearman's correlation of two arrays [N]; NaN if either is constant, unknown (NaN) or empty."""
    from scipy.stats import spearmanr  # takes a second to import

    if not len(first) or not (np.ptp(first) > 0 and np.ptp(second) > 0):
        return float("nan")
    return float(spearmanr(first, second).statistic)
