"""AKM's number of masks (arXiv 2404.14835): the more keypoints are
simple for the teacher, the more are masked.
"""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semipose.utils.constants import fixed

if TYPE_CHECKING:
    from semipose.config.augment import Adaptive


def simple_keypoints(heatmaps: Tensor, response: str, tau: float) -> Tensor:
    """Decide which keypoints are simple: those with a response r_i^j >= tau.

    H_i^j is the maximum over the pixels of heatmap j.

    Args:
        heatmaps: The teacher's, [B, K, h, w].
        response: `relative`: (H_i^j - H_i^min) / (H_i^max - H_i^min + eps), as the paper's symbols
            read; `relative_max`: H_i^j / H_i^max; `absolute`: H_i^j, the only one that shows if all
            keypoints of a person are faint.
        tau: Threshold, 0-1.

    Returns:
        [B, K] bool.
    """
    peak = heatmaps.amax(dim=(2, 3))  # H_i^j
    if response == "absolute":
        return peak >= tau
    largest = peak.amax(dim=1, keepdim=True)  # H_i^max
    if response == "relative_max":
        return peak / largest.clamp_min(1e-6) >= tau
    smallest = peak.amin(dim=1, keepdim=True)  # H_i^min
    return (peak - smallest) / (largest - smallest + 1e-6) >= tau


def adaptive_count(heatmaps: Tensor, simple: Tensor, p: "Adaptive") -> Tensor:
    """Compute the number of masks n_i of each person; n_min for an extremely difficult one.

    `p.count` is `share`: max(n_min, floor(n_max * #simple / K + 1/2)).
    Or it is `inferred`: floor(8 l / 24), or n_min if that is 0, where l is #simple without the
    keypoint of the highest peak.
    That is the rule of the code that methods.md 2.3 infers to be AKM's.

    Args:
        heatmaps: The teacher's, [B, K, h, w].
        simple: What `simple_keypoints` returned, [B, K] bool.
        p: The rule, its limits, and tau_hard: a person whose highest peak is lower is extremely
            difficult.

    Returns:
        [B] int, at most K.
    """
    keypoints = heatmaps.shape[1]
    if p.count == "inferred":
        counts = [max(number - 1, 0) // 3 or p.n_min for number in range(keypoints + 1)]
    else:
        counts = [max(p.n_min, math.floor(p.n_max * number / keypoints + 0.5)) for number in range(keypoints + 1)]
    by_simple = fixed(tuple(min(count, keypoints) for count in counts), heatmaps.device, torch.int64)
    extremely_difficult = heatmaps.amax(dim=(1, 2, 3)) < p.tau_hard
    return by_simple[simple.sum(dim=1)].masked_fill(extremely_difficult, min(p.n_min, keypoints))
