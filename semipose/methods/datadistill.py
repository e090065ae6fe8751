"""Data distillation (Radosavovic et al., CVPR 2018; methods.md 6): a trained network looks at each unlabelled person mirrored and
not, at several scales and under several rotations, and the mean of its heatmaps is believed."""

from itertools import product

import torch
from torch import Tensor

from semipose.geometry import invert, similarity
from semipose.methods.method import Passes
from semipose.methods.offline import Offline
from semipose.models import PoseNet
from semipose.params import DataDistill as Params
from semipose.task import Task


class DataDistill(Offline):
    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__(nets, params, task)
        self.looks = list(product((False, True) if params.flip else (False,), params.scales, params.rotations_deg))
        self.passes = {"net": Passes(gradient=2, no_gradient=len(self.looks))}

    @torch.no_grad()
    def look(self, images: Tensor) -> Tensor:
        """Each look is moved back onto the image, with left joints on the left again, before the mean is taken."""
        teacher, task = self.teacher.eval(), self.task
        moved = []
        for mirrored, scale, angle in self.looks:
            angles, scales = (images.new_full((len(images),), value) for value in (angle, scale))
            theta = similarity(angles, scales, torch.full_like(angles, mirrored, dtype=torch.bool), task.centre)
            heatmaps = task.move_heatmaps(teacher(task.move_images(images, theta)).float(), invert(theta))
            moved.append(heatmaps[:, task.flip] if mirrored else heatmaps)
        return torch.stack(moved).mean(dim=0)

    def pseudo_labels(self, weak: Tensor) -> Tensor:
        return self.look(weak)
