"""OKS non-maximum suppression: of several poses of one person in
overlapping boxes, the best-scored one stays.

Source: Papandreou et al., CVPR 2017; threshold and area as in Simple Baselines (methods.md 1.5).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def oks_between(
    one: NDArray[np.floating],
    other: NDArray[np.floating],
    areas: NDArray[np.floating],
    other_areas: NDArray[np.floating],
    sigmas: Sequence[float],
) -> NDArray[np.float64]:
    """Compute OKS between N pairs of poses, as if all joints were annotated.

    Args:
        one: [N, K, 2] px.
        other: [N, K, 2] px.
        areas: Of the first poses, [N] px^2; a pair has the mean of its two areas.
        other_areas: Of the other poses, [N] px^2.
        sigmas: [K].

    Returns:
        [N], 0-1.
    """
    squared = ((one.astype(np.float64) - other) ** 2).sum(2)  # [N, K]
    area = (areas.astype(np.float64) + other_areas) / 2 + np.spacing(1)
    variances = (2 * np.asarray(sigmas, np.float64)) ** 2
    return np.exp(-squared / variances / area[:, None] / 2).mean(1)


def oks_nms(
    points: NDArray[np.floating],
    scores: NDArray[np.floating],
    areas: NDArray[np.floating],
    images: NDArray[np.integer],
    sigmas: Sequence[float],
    threshold: float,
) -> NDArray[np.int64]:
    """Find the poses that stay, image by image, best score first.

    A pose stays if its OKS with every better pose that stays in its image is at most `threshold`.

    Args:
        points: [N, K, 2] px.
        scores: [N].
        areas: [N] px^2.
        images: The image of each pose, [N].
        sigmas: [K].
        threshold: Largest OKS, 0-1.

    Returns:
        Positions of the poses that stay.
    """
    order = np.lexsort((-scores, images))
    points, areas, images = points[order], areas[order], images[order]
    near: list[tuple[int, int]] = []
    for apart in range(1, len(order)):  # all pairs with this distance in the list
        better = np.flatnonzero(images[:-apart] == images[apart:])
        if not len(better):
            break
        oks = oks_between(points[better], points[better + apart], areas[better], areas[better + apart], sigmas)
        near += [(one, one + apart) for one in better[oks > threshold].tolist()]
    stays = np.ones(len(order), dtype=bool)
    for one, worse in sorted(near):  # all better poses than `one` are decided
        stays[worse] &= not stays[one]
    return order[stays]
