"""Views and the pseudo-labels that belong to them."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from semipose.pose.heatmap import STRIDE, decode, peak


class View(NamedTuple):
    """Images [B, 3, H, W], the target heatmaps [B, K, h, w] for
    them, and the weights [B, K] in the loss.
    """

    images: Tensor
    targets: Tensor
    weight: Tensor


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """A teacher's pseudo-labels on B weak views; each decoding is computed once, on first use.

    Attributes:
        heatmaps: [B, K, h, w], without gradient.
        sigma: Width of the Gaussians in heatmap cells, for decoding.
        weight: [B, K], weights of rendered pseudo-labels instead of their peaks; None: the peaks.
        spread: [B, K], the method's own measure of the teacher's
            uncertainty (0: certain); None if it has none.
    """

    heatmaps: Tensor
    sigma: float
    weight: Tensor | None = field(default=None, kw_only=True)
    spread: Tensor | None = field(default=None, kw_only=True)

    @cached_property
    def peaks(self) -> tuple[Tensor, Tensor]:
        """Cells [B, K, 2] (x, y) of the maxima, and their values [B, K]."""
        return peak(self.heatmaps)

    @cached_property
    def points(self) -> Tensor:
        """Keypoints [B, K, 2] in px of the weak view, to a quarter
        cell: where augmentations hide or paste.
        """
        return decode(self.heatmaps, STRIDE, "quarter", peaks=self.peaks)[0]

    @cached_property
    def exact(self) -> tuple[Tensor, Tensor]:
        """Keypoints [B, K, 2] in px to less than a quarter cell (DARK), and their weight or
        confidence [B, K], for targets.
        """
        points, confidence = decode(self.heatmaps, STRIDE, "dark", self.sigma, self.peaks)
        return points, confidence if self.weight is None else self.weight


@dataclass(frozen=True, eq=False)
class MaskedLabels(PseudoLabels):
    """Pseudo-labels with the number of keypoints to mask.

    Attributes:
        simple: Which keypoints are simple for the teacher, [B, K] bool.
        counts: Number of keypoint masks of each person, [B] int.
    """

    simple: Tensor
    counts: Tensor


def agreement(one: PseudoLabels, other: PseudoLabels) -> Tensor:
    """How well two predictions of the same weak views agree, [B, K] in 0 ... 1.

    It is the height, at one keypoint, of a Gaussian rendered at the
    other: 1 if they are equal, 0.61 a sigma apart.
    """
    cells = (one.exact[0] - other.exact[0]).norm(dim=2) / STRIDE
    return torch.exp(-cells.square() / (2 * one.sigma**2))
