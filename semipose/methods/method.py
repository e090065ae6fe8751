"""What the training loop asks of a method, whatever the paper."""

from typing import NamedTuple

from torch import Generator, Tensor, nn

from semipose.models import PoseNet, forward_gflop
from semipose.task import Batch


class Losses(NamedTuple):
    """terms: named losses, already weighted, whose sum is minimised. measures: named numbers without gradient, for the log."""

    terms: dict[str, Tensor]
    measures: dict[str, Tensor]


class Passes(NamedTuple):
    """Passes of a network for one labelled and one unlabelled person."""

    gradient: int
    no_gradient: int


class Method(nn.Module):
    """The paper's losses on one network or several. `forward` is all that the data-parallel wrapper sees.

    `net` is the network to use alone. `reported` says what a table shows of a method with several: the name of one of `networks`,
    `mean` (of the networks' figures: what one of them is worth) or `ensemble` (the mean of their heatmaps).
    """

    net: PoseNet
    passes: dict[str, Passes]  # by name of `networks`
    reported: str = "net"

    @property
    def networks(self) -> dict[str, PoseNet]:
        """The networks that are kept and evaluated, by name, `net` first. Those that have no pass with a gradient are not trained."""
        return {"net": self.net}

    def gflop(self) -> float:
        """Floating-point operations (10^9) in training on one labelled and one unlabelled person; a backward pass costs about two forward
        ones."""
        each = ((forward_gflop(net, net.model.height, net.model.width), self.passes[name]) for name, net in self.networks.items())
        return sum(gflop * (3 * passes.gradient + passes.no_gradient) for gflop, passes in each)

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        raise TypeError(f"{type(self).__name__} defines no losses")

    def after_step(self) -> None:
        """Called after each optimiser step; a moving average is updated here."""

    def after_epoch(self) -> None:
        """Called after each epoch, before it is observed; weights of the previous epoch are kept here."""

    def pseudo_labels(self, weak: Tensor) -> Tensor | None:
        """The heatmaps [B, K, h, w] that would be taught on these weak views [B, 3, H, W]; None where nobody teaches."""
        return None

    def simple(self, heatmaps: Tensor) -> Tensor | None:
        """Which keypoints of these heatmaps count as simple, [B, K] bool; None where the method does not ask."""
        return None

    def draw_counts(self, heatmaps: Tensor, generator: Generator) -> Tensor | None:
        """How many keypoint masks each person with these heatmaps gets, [B] int; None where the method has no masks of its own."""
        return None
