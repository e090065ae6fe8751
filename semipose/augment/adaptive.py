"""AKM's number of masks (arXiv 2404.14835): the more of a person's keypoints are simple for the teacher, the more are masked."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from semipose.config.augment import Adaptive


def simple_keypoints(heatmaps: Tensor, response: str, tau: float) -> Tensor:
    """Which keypoints are simple, [B, K] bool: response r_i^j >= tau, with H_i^j = max over pixels of heatmap j.

    relative: (H_i^j - H_i^min) / (H_i^max - H_i^min + eps), the reading of the paper's symbols; relative_max: H_i^j / H_i^max;
    absolute: H_i^j itself, which alone sees that all of a person's keypoints are faint.
    """
    peak = heatmaps.amax(dim=(2, 3))  # H_i^j
    largest = peak.amax(dim=1, keepdim=True)  # H_i^max
    smallest = peak.amin(dim=1, keepdim=True)  # H_i^min
    if response == "relative":
        return (peak - smallest) / (largest - smallest + 1e-6) >= tau
    if response == "relative_max":
        return peak / largest.clamp_min(1e-6) >= tau
    return peak >= tau


def adaptive_count(heatmaps: Tensor, simple: Tensor, p: "Adaptive") -> Tensor:
    """Number of masks n_i, [B] int: max(n_min, floor(n_max * #simple / K + 1/2)); n_min for an extremely difficult person."""
    keypoints = heatmaps.shape[1]
    count = (p.n_max * simple.sum(dim=1) / keypoints + 0.5).floor().long()
    extremely_difficult = heatmaps.amax(dim=(1, 2, 3)) < p.tau_hard
    return torch.where(extremely_difficult, p.n_min, count.clamp_min(p.n_min)).clamp_max(keypoints)
