"""Data distillation (Radosavovic et al., CVPR 2018; methods.md 3.6).

A trained network predicts each unlabelled person in several views: mirrored and not, at several
scales and rotations.
The mean of its heatmaps gives the pseudo-labels.
"""

from itertools import product

import torch
from torch import Tensor

from semipose.augment.task import Task
from semipose.config.methods import DataDistill as Params
from semipose.methods.pseudopose import PseudoPose
from semipose.models.network import PoseNet
from semipose.pose.geometry import invert, similarity


class DataDistill(PseudoPose):
    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__(nets, params, task)
        self.views = list(product((False, True) if params.flip else (False,), params.scales, params.rotations_deg))

    @torch.no_grad()
    def teacher_heatmaps(self, images: Tensor) -> Tensor:
        """The mean heatmaps [B, K, h, w] over the views, each moved back
        onto the image with left and right restored.

        All views are one pass: with running batch-norm
        statistics, no heatmap depends on the others.
        """
        teacher, task = self.teacher.eval(), self.task
        thetas = []
        for mirrored, scale, angle in self.views:
            angles, scales = (images.new_full((len(images),), value) for value in (angle, scale))
            thetas.append(similarity(angles, scales, torch.full_like(angles, mirrored, dtype=torch.bool), task.centre))
        theta = torch.cat(thetas)
        seen = teacher(task.move_images(images.repeat(len(thetas), 1, 1, 1), theta)).float()
        moved = task.move_heatmaps(seen, invert(theta)).unflatten(0, (len(thetas), len(images)))
        back = [maps[:, task.flip] if mirrored else maps for (mirrored, *_), maps in zip(self.views, moved, strict=True)]
        return torch.stack(back).mean(dim=0)
