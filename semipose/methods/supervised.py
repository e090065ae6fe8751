"""The supervised baseline: the labelled people alone, as many optimiser steps as every other method (methods.md 3.1)."""

from torch import Generator

from semipose.augment.task import Task
from semipose.config.methods import Supervised as Params
from semipose.data.loading.batch import Batch
from semipose.methods.base import Losses, Method, Passes
from semipose.models.network import PoseNet
from semipose.pose.heatmap import heatmap_loss


class Supervised(Method):
    """L_s, the mean squared error of the heatmaps of visible keypoints."""

    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__()
        (self.net,) = nets
        self.task = task
        self.passes = {"net": Passes(gradient=1, no_gradient=0)}

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        images, targets, weight = self.task.labelled(batch.labelled, generator)
        return Losses({"supervised": heatmap_loss(self.net(images), targets, weight)}, {})
