"""SSPCM (Huang et al., CVPR 2023, arXiv 2303.04346; methods.md
3.4): two teachers teach each other and a student.

A and B are the teachers, C is the student, A' and B' are the
teachers at the end of the previous epoch.
On an easy view they predict a, b, a' and b'.
For each joint, the pair whose peaks lie closest is trusted: E is half the sum of (a, b), (a', b),
(a, b') or (a', b').
A learns from b, B from a, C from E; no network learns from C.
L = 1/2 (L_l(A) + L_l(B) + L_l(C)) + lambda_u (L(A(x_A), W(b)) + L(B(x_B), W(a)) + L(C(x_C), W(E))),
with the score mask.
"""

import copy
import math

import torch
from torch import Generator, Tensor

from semipose.augment.pseudo import PseudoLabels
from semipose.augment.task import Task
from semipose.config.methods import SSPCM as Params
from semipose.data.loading.batch import Batch
from semipose.methods.base import Consistency, Losses, teach, view_loss
from semipose.models.ema import Averages
from semipose.models.network import PoseNet
from semipose.pose.heatmap import peak


def least_inconsistent(a: Tensor, b: Tensor, previous_a: Tensor, previous_b: Tensor) -> Tensor:
    """E [B, K, h, w]: for each person and joint, half the sum of the pair whose peaks lie closest.

    If several pairs are equally close, it is the first of (a, b), (a', b), (a, b'), (a', b').
    """
    pairs = [(a, b), (previous_a, b), (a, previous_b), (previous_a, previous_b)]
    inconsistency = torch.stack([(peak(one)[0] - peak(other)[0]).norm(dim=2) for one, other in pairs])  # D_1 ... D_4, in heatmap cells
    chosen = inconsistency.argmin(dim=0)[None, :, :, None, None]
    halves = torch.stack([0.5 * (one + other) for one, other in pairs])
    return halves.gather(0, chosen.expand(1, *a.shape))[0]


def score_mask(a: Tensor, b: Tensor, score: float) -> Tensor:
    """Joints whose two peaks have a mean above `score`, [B, K], 0 or 1."""
    return ((a.amax(dim=(2, 3)) + b.amax(dim=(2, 3))) / 2 > score).float()


def position_mask(a: Tensor, b: Tensor, largest: float) -> Tensor:
    """Joints whose two peaks are closer than `largest` times
    the heatmap's diagonal, [B, K], 0 or 1.
    """
    diagonal = math.hypot(*a.shape[2:])
    return ((peak(a)[0] - peak(b)[0]).norm(dim=2).clamp_max(diagonal - 1) / diagonal < largest).float()


class SSPCM(Consistency):
    reported = "student"

    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__()
        self.net, self.first, self.second = nets  # C, A, B
        self.previous_first, self.previous_second = (
            copy.deepcopy(net).requires_grad_(False) for net in (self.first, self.second)
        )  # A', B'
        self.averages = Averages(nets[1:], params.ema)
        self.epochs = 0
        self.p, self.task, self.pseudo_label = params, task, params.pseudo_label
        self.paths = {"strong view": params.strong}

    @property
    def networks(self) -> dict[str, PoseNet]:
        return {"student": self.net, "teacher1": self.first, "teacher2": self.second}

    @property
    def phase(self) -> bool:
        """In the first epoch there is no previous one."""
        return self.epochs == 0

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        p, task = self.p, self.task
        trained = {"teacher1": self.first, "teacher2": self.second, "student": self.net}
        labelled = task.labelled(batch.labelled, generator)
        loss_l = 0.5 * torch.stack([view_loss(net, labelled) for net in trained.values()]).sum()

        easy = task.weak_view(batch.unlabelled, generator)
        a, b = (teach(net, easy, p.teacher_bn) for net in self.teachers)
        corrected = self.corrected(easy, a, b)  # E
        theta = task.strong(len(easy), generator)
        sure = score_mask(a, b, p.score)
        terms = {"supervised": loss_l}
        for name, heatmaps in {"teacher1": b, "teacher2": a, "student": corrected}.items():
            hard = self.strong_view(easy, PseudoLabels(heatmaps, task.sigma), theta, p.strong, generator)
            kept = sure if name != "student" or p.position is None else sure * position_mask(a, b, p.position)
            terms[name] = p.lambda_u * view_loss(trained[name], hard._replace(weight=hard.weight * kept))
        return Losses(terms, {"kept": sure.mean()})

    def corrected(self, easy: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """E; in the first epoch, which has no previous one, half the sum of a and b."""
        if self.epochs == 0:
            return 0.5 * (a + b)
        return least_inconsistent(a, b, *(teach(net, easy, self.p.teacher_bn) for net in (self.previous_first, self.previous_second)))

    def pseudo_labels(self, weak: Tensor, generator: Generator) -> PseudoLabels:
        a, b = (teach(net, weak, self.p.teacher_bn) for net in self.teachers)
        return PseudoLabels(self.corrected(weak, a, b), self.task.sigma)

    @property
    def teachers(self) -> list[PoseNet]:
        """A and B, or their moving averages."""
        return self.averages.teachers([self.first, self.second])

    def after_step(self) -> None:
        self.averages.follow([self.first, self.second])

    def after_epoch(self) -> None:
        for previous, net in zip((self.previous_first, self.previous_second), self.teachers, strict=True):
            previous.load_state_dict(net.state_dict())
        self.epochs += 1

    def get_extra_state(self) -> Tensor:
        """The number of epochs, for checkpoints; not a buffer, which
        every step would have to read from the device.
        """
        return torch.tensor(self.epochs)

    def set_extra_state(self, state: Tensor) -> None:
        self.epochs = int(state)
