"""OKS non-maximum suppression: of several poses of one person, found in overlapping boxes, the best-scored one stays.

Source: Papandreou et al., CVPR 2017; threshold and area as in Simple Baselines (methods.md 1.11).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def oks_matrix(points: NDArray[np.floating], areas: NDArray[np.floating], sigmas: Sequence[float]) -> NDArray[np.float64]:
    """OKS [N, N] of every pose of an image, points [N, K, 2] px, with every other, as if all joints were annotated. The area of a
    pair is the mean of theirs, areas [N] px^2."""
    squared = ((points[:, None].astype(np.float64) - points[None]) ** 2).sum(3)  # [N, N, K]
    area = (areas[:, None].astype(np.float64) + areas[None]) / 2 + np.spacing(1)
    variances = (2 * np.asarray(sigmas, np.float64)) ** 2
    return np.exp(-squared / variances / area[..., None] / 2).mean(2)


def oks_nms(
    points: NDArray[np.floating], scores: NDArray[np.floating], areas: NDArray[np.floating], sigmas: Sequence[float], threshold: float
) -> NDArray[np.int64]:
    """Which poses of one image stay, best score first: each that no better one is nearer to than OKS `threshold`."""
    order = np.argsort(-scores, kind="stable")
    near = oks_matrix(points, areas, sigmas) > threshold
    alive = np.ones(len(order), dtype=bool)
    kept = []
    for number in order:
        if alive[number]:
            kept.append(number)
            alive &= ~near[number]
    return np.array(kept, np.int64)
