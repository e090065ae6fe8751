"""PseudoPose, the offline baseline (methods.md 3.6): a
trained network labels each unlabelled person.

L = L(f(x_l), Y) + lambda_u L(f(x_u), Y of the teacher), both people in weak views.
The teacher predicts the plain crop.
"""

import copy

import torch
from torch import Generator, Tensor

from semipose.augment.pseudo import PseudoLabels
from semipose.augment.task import Task
from semipose.config.methods import PseudoPose as Params
from semipose.data.loading.batch import Batch, Labelled
from semipose.data.loading.pack import Crops
from semipose.methods.base import Losses, Method, view_loss
from semipose.models.network import PoseNet
from semipose.pose.geometry import invert, transform


class PseudoPose(Method):
    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__()
        (self.net,) = nets
        self.teacher = copy.deepcopy(self.net).requires_grad_(False)
        self.p, self.task = params, task

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        loss_l = view_loss(self.net, self.task.labelled(batch.labelled, generator))
        pseudo = self.task.labelled(self.label(batch.unlabelled), generator)
        loss_u = view_loss(self.net, pseudo)
        return Losses({"supervised": loss_l, "pseudo": self.p.lambda_u * loss_u}, {"kept": (pseudo.weight > 0).float().mean()})

    def label(self, crops: Crops) -> Labelled:
        """The crops with the teacher's poses as labels; joints below `confidence` have weight 0."""
        points, confidence = PseudoLabels(self.teacher_heatmaps(self.task.view(*crops)), self.task.sigma).exact
        return Labelled(crops, transform(invert(crops.base), points), (confidence >= self.p.confidence).float())

    @torch.no_grad()
    def teacher_heatmaps(self, images: Tensor) -> Tensor:
        """The teacher's heatmaps [B, K, h, w] of images [B, 3, H, W], with running batch-norm statistics."""
        return self.teacher.eval()(images).float()

    def pseudo_labels(self, weak: Tensor, generator: Generator) -> PseudoLabels:
        return PseudoLabels(self.teacher_heatmaps(weak), self.task.sigma)
