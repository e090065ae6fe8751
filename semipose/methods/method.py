"""What the training loop asks of a method, whatever the paper."""

from typing import NamedTuple

from torch import Generator, Tensor, nn

from semipose.models import PoseNet
from semipose.task import Batch


class Losses(NamedTuple):
    """terms: named losses, already weighted, whose sum is minimised. measures: named numbers without gradient, for the log."""

    terms: dict[str, Tensor]
    measures: dict[str, Tensor]


class PseudoLabels(NamedTuple):
    """What a teacher says of B weak views: heatmaps [B, K, h, w], the number of masks that each person's own response asks for [B],
    share of simple keypoints [B]."""

    heatmaps: Tensor
    counts: Tensor
    simple: Tensor


class Method(nn.Module):
    """One network `net` (the one that is evaluated) and the paper's losses. `forward` is all that the data-parallel wrapper sees."""

    net: PoseNet
    passes: dict[str, int]  # network passes per step: with gradient, without gradient

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        raise TypeError(f"{type(self).__name__} defines no losses")

    def after_step(self) -> None:
        """Called after each optimiser step; a moving average is updated here."""

    def draw_counts(self, taught: PseudoLabels, generator: Generator) -> Tensor:
        """The number of masks that each person gets, [B] int."""
        return taught.counts

    def pseudo_labels(self, weak: Tensor) -> PseudoLabels | None:
        """What the method would teach on these weak views [B, 3, H, W]; None where nobody teaches."""
        return None
