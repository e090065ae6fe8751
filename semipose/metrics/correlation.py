"""Spearman's rank correlation."""

import numpy as np
from numpy.typing import NDArray


def rank_correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Of two arrays [N], with mean ranks for ties; NaN where either is constant, unknown (NaN) or empty."""

    def ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        return (np.cumsum(counts) - (counts - 1) / 2)[place]

    if not len(first) or not (np.ptp(first) > 0 and np.ptp(second) > 0):
        return float("nan")
    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])
