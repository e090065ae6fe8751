"""The supervised baseline: labelled people only, with as many
optimiser steps as every other method (methods.md 3.1).
"""

from torch import Generator

from semipose.augment.task import Task
from semipose.config.methods import Supervised as Params
from semipose.data.loading.batch import Batch
from semipose.methods.base import Losses, Method, view_loss
from semipose.models.network import PoseNet


class Supervised(Method):
    """L_s, the mean squared error of the heatmaps of visible keypoints."""

    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__()
        (self.net,) = nets
        self.task = task

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        return Losses({"supervised": view_loss(self.net, self.task.labelled(batch.labelled, generator))}, {})
