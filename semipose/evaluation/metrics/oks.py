"""Object keypoint similarity (OKS) of a predicted person with the annotated one.

    OKS = mean over annotated joints of exp(-d^2 / (2 s^2 k^2)),  s^2 = area,  k = 2 sigma

Sources: cocodataset.org, keypoint evaluation; Ronchi and Perona, ICCV 2017.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semipose.evaluation.metrics.pck import Hits
from semipose.pose.skeleton import Skeleton
from semipose.utils.errors import InputError


def oks_terms(
    points: NDArray[np.floating], truth: NDArray[np.floating], areas: NDArray[np.floating], sigmas: Sequence[float]
) -> NDArray[np.float64]:
    """Compute exp(-d^2 / (2 s^2 k^2)) of every joint.

    Args:
        points: Predicted joints, [N, K, 2] px.
        truth: Annotated joints, [N, K, 2] px.
        areas: s^2, [N] px^2.
        sigmas: k / 2, [K].

    Returns:
        [N, K], 0-1.

    Raises:
        InputError: There are not as many sigmas as joints.
    """
    if len(sigmas) != points.shape[1]:
        raise InputError(f"OKS needs a sigma for each of {points.shape[1]} joints, has {len(sigmas)}; measure PCK instead")
    squared = ((points.astype(np.float64) - truth) ** 2).sum(2)
    variances = (2 * np.asarray(sigmas, np.float64)) ** 2
    return np.exp(-squared / variances / (areas.astype(np.float64)[:, None] + np.spacing(1)) / 2)


def person_oks(
    points: NDArray[np.floating],
    truth: NDArray[np.floating],
    visibility: NDArray[np.integer],
    areas: NDArray[np.floating],
    sigmas: Sequence[float],
) -> NDArray[np.float64]:
    """Compute OKS of each person with its own truth, as COCOeval does.

    Args:
        points: Predicted joints, [N, K, 2] px.
        truth: Annotated joints, [N, K, 2] px.
        visibility: [N, K]; 0: not annotated.
        areas: [N] px^2.
        sigmas: [K].

    Returns:
        [N], 0-1; NaN if no joint is annotated.

    Raises:
        InputError: As `oks_terms`.
    """
    visible = visibility > 0
    count = visible.sum(1)
    total = (oks_terms(points, truth, areas, sigmas) * visible).sum(1)
    return np.divide(total, count, out=np.full(len(points), np.nan), where=count > 0)


def joint_hits(
    points: NDArray[np.floating],
    truth: NDArray[np.floating],
    visibility: NDArray[np.integer],
    areas: NDArray[np.floating],
    skeleton: Skeleton,
) -> Hits:
    """Find the joints with an OKS term of at least 0.5, exp(-d^2 / (2 s^2 k^2)) >= 0.5.

    The metrics of the result are `joint/<name>`: the share of a joint's annotated instances that
    have one.
    This is PCK with OKS's own tolerance for the joint (1.18 k s, wide for hips, narrow for eyes),
    with each person compared to its own truth.
    It is not AP by joint.

    Args:
        points: Predicted joints, [N, K, 2] px.
        truth: Annotated joints, [N, K, 2] px.
        visibility: [N, K]; 0: not annotated.
        areas: [N] px^2.
        skeleton: Has the names and sigmas of the joints.

    Raises:
        InputError: As `oks_terms`.
    """
    counted = visibility > 0
    hit = counted & (oks_terms(points, truth, areas, skeleton.sigmas) >= 0.5)
    return Hits(hit, counted, skeleton.joints, None)
