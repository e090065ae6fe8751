"""PseudoPose, the offline baseline (methods.md 6): a trained network looks at each unlabelled person once, as it is."""

import torch
from torch import Tensor

from semipose.methods.base import Offline


class PseudoPose(Offline):
    @torch.no_grad()
    def teacher_heatmaps(self, images: Tensor) -> Tensor:
        return self.teacher.eval()(images).float()
