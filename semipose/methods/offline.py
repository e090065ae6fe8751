"""Offline pseudo-labels: a trained network's poses of the unlabelled people are trained on like labels.

The teacher is the warmed-up network as it was before the first step; it does not change. What it looks at is the method's.
"""

import copy
from typing import TYPE_CHECKING

from torch import Generator, Tensor

from semipose.crops import Crops
from semipose.geometry import invert, transform
from semipose.heatmap import decode, heatmap_loss
from semipose.methods.method import Losses, Method
from semipose.models import STRIDE, PoseNet
from semipose.task import Batch, Labelled, Task

if TYPE_CHECKING:
    from semipose.params import DataDistill, PseudoPose


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
        heatmaps = self.look(self.task.look(*crops))
        points, confidence = decode(heatmaps, STRIDE, "dark", self.task.sigma)
        return Labelled(crops, transform(invert(crops.base), points), (confidence >= self.p.confidence).float())

    def look(self, images: Tensor) -> Tensor:
        """The teacher's heatmaps [B, K, h, w] of images [B, 3, H, W], no gradient, running batch-norm statistics."""
        raise TypeError(f"{type(self).__name__} has no look")
