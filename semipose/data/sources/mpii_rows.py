"""People of MPII as a file has them, whichever of its formats it is in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semipose.data.annotations import HEAD_SHARE
from semipose.pose.skeleton import MPII16

JOINTS = len(MPII16.joints)


def head_sizes(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """0.6 times the diagonal [N] of head boxes [N, 4] (x1, y1, x2, y2 px); NaN for a box without extent, or of NaN."""
    diagonals = np.linalg.norm(boxes[:, 2:].astype(np.float64) - boxes[:, :2], axis=1)
    return np.where(diagonals > 0, HEAD_SHARE * diagonals, np.nan)


@dataclass(eq=False)
class Rows:
    """M people as their file has them.

    Attributes:
        images: Names of the images.
        centres: [M, 2] px, counted from 1.
        scales: [M].
        joints: [M, 16, 2] px, counted from 1.
        visibility: [M, 16], 0-2.
        heads: Head sizes, [M] px; NaN if unknown.
    """

    images: list[str]
    centres: NDArray[np.float64]
    scales: NDArray[np.float64]
    joints: NDArray[np.float64]
    visibility: NDArray[np.int64]
    heads: NDArray[np.float64]
