"""PseudoPose, the offline baseline (methods.md 3.6): a trained network looks at each unlabelled person once, as it is."""

import torch
from torch import Tensor

from semipose.augment.task import Task
from semipose.config.methods import PseudoPose as Params
from semipose.methods.base import Offline, Passes
from semipose.models.network import PoseNet


class PseudoPose(Offline):
    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__(nets, params, task)
        self.passes = {"net": Passes(gradient=2, no_gradient=1)}

    @torch.no_grad()
    def teacher_heatmaps(self, images: Tensor) -> Tensor:
        return self.teacher.eval()(images).float()

    def pseudo_labels(self, weak: Tensor) -> Tensor:
        return self.teacher_heatmaps(weak)
