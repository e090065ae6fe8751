"""What the training loop asks of a method, whatever the paper."""

import copy
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Generator, Tensor, nn

from semipose.augment.task import Task
from semipose.data.loading.batch import Batch, Labelled
from semipose.data.loading.pack import Crops
from semipose.models.network import PoseNet, forward_gflop
from semipose.pose.geometry import invert, transform
from semipose.pose.heatmap import STRIDE, decode, heatmap_loss

if TYPE_CHECKING:
    from semipose.augment.task import Task
    from semipose.config.augment import Augmentations
    from semipose.config.methods import DataDistill, PseudoPose


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

    def sample_counts(self, heatmaps: Tensor, generator: Generator) -> Tensor | None:
        """How many keypoint masks each person with these heatmaps gets, [B] int; None where the method has no masks of its own."""
        return None


@torch.no_grad()
def teach(net: PoseNet, weak: Tensor, batch_norm: Literal["train", "eval"]) -> Tensor:
    """Heatmaps [B, K, h, w] of the weak views [B, 3, H, W], no gradient. `train`: batch statistics, and the running ones move (the
    peers); `eval`: running statistics."""
    mode = net.training
    if batch_norm == "eval":
        net.eval()
    heatmaps = net(weak).float()
    net.train(mode)
    return heatmaps


def moved_targets(task: "Task", heatmaps: Tensor, theta: Tensor, pseudo_label: Literal["raw", "rendered"]) -> tuple[Tensor, Tensor]:
    """W(H, theta): targets [B, K, h, w] of the strong views and their weights [B, K].

    raw: the heatmaps themselves, moved, weight 1. rendered: a Gaussian at the moved keypoint, weighted by its confidence
    (a weight stands inside the square of ``heatmap_loss``, so that half the confidence counts a quarter).
    """
    theta = task.label_transform(theta)
    if pseudo_label == "raw":
        return task.move_heatmaps(heatmaps, theta), torch.ones_like(heatmaps[:, :, 0, 0])
    points, confidence = decode(heatmaps, STRIDE, "dark", task.sigma)  # a quarter cell of rounding would be taught as truth
    return task.targets(transform(theta, points), confidence.clamp(0, 1))


class View(NamedTuple):
    """A strong view: images [B, 3, H, W], target heatmaps [B, K, h, w], weights [B, K]."""

    images: Tensor
    targets: Tensor
    weight: Tensor


class Consistency(Method):
    """`paths`: the strong augmentations of each strong view, by a name to show."""

    task: "Task"
    pseudo_label: Literal["raw", "rendered"]
    paths: dict[str, "Augmentations"]

    def strong_view(self, easy: Tensor, taught: Tensor, theta: Tensor, path: "Augmentations", generator: Generator) -> View:
        """W(S(x_e; H), theta) with W(H, theta): strongly augmented at the keypoints of the heatmaps that are taught on it."""
        images = self.task.move_images(self.task.strong_augment(easy, taught, path, generator), theta)
        return View(images, *moved_targets(self.task, taught, theta, self.pseudo_label))


class Offline(Method):
    """L = L(f(x_l), Y) + lambda_u L(f(x_u), Y of the teacher), both people in weak views."""

    def __init__(self, nets: list[PoseNet], params: "PseudoPose | DataDistill", task: Task) -> None:
        super().__init__()
        (self.net,) = nets
        self.teacher = copy.deepcopy(self.net).requires_grad_(False)
        self.p, self.task = params, task

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        images, targets, weight = self.task.labelled(batch.labelled, generator)
        loss_l = heatmap_loss(self.net(images), targets, weight)
        images, targets, weight = self.task.labelled(self.label(batch.unlabelled), generator)
        loss_u = heatmap_loss(self.net(images), targets, weight)
        return Losses({"supervised": loss_l, "pseudo": self.p.lambda_u * loss_u}, {"kept": (weight > 0).float().mean()})

    def label(self, crops: Crops) -> Labelled:
        """The crops with the teacher's poses; joints of little confidence are not taught."""
        heatmaps = self.teacher_heatmaps(self.task.view(*crops))
        points, confidence = decode(heatmaps, STRIDE, "dark", self.task.sigma)
        return Labelled(crops, transform(invert(crops.base), points), (confidence >= self.p.confidence).float())

    def teacher_heatmaps(self, images: Tensor) -> Tensor:
        """The teacher's heatmaps [B, K, h, w] of images [B, 3, H, W], no gradient, running batch-norm statistics."""
        raise TypeError(f"{type(self).__name__} has no teacher_heatmaps")
