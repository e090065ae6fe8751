"""PoseCons (Xie et al., ICCV 2021; methods.md 2.2): one network teaches itself from an easy to a hard view of the same person.

L = L(f(x_l), Y) + lambda_u L(f(x_h), W(H, theta)), H = f(x_e) without gradient, x_h = W(S(x_e; H), theta): the strengthening S
(joint cutout and others) is drawn on the easy view with the teacher's joints, then the view moves.
"""

from torch import Generator, Tensor

from semipose.heatmap import heatmap_loss
from semipose.methods.method import Losses, Method
from semipose.methods.teacher import moved_targets, teach
from semipose.models import PoseNet
from semipose.params import PoseCons as Params
from semipose.task import Batch, Task


class PoseCons(Method):
    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__()
        (self.net,) = nets
        self.p, self.task = params, task
        self.passes = {"gradient": 2, "no_gradient": 1}

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        p, f, task = self.p, self.net, self.task
        images, targets, weight = task.labelled(batch.labelled, generator)
        loss_l = heatmap_loss(f(images), targets, weight)

        easy = task.weak_view(batch.unlabelled, generator)
        taught = teach(f, easy, p.teacher_bn)  # H
        theta = task.strong(len(easy), generator)
        hard = task.move_images(task.strengthen(easy, taught, p.strong, generator), theta)
        loss_u = heatmap_loss(f(hard), *moved_targets(task, taught, theta, p.pseudo_label))
        return Losses({"supervised": loss_l, "unsupervised": p.lambda_u * loss_u}, {})

    def pseudo_labels(self, weak: Tensor) -> Tensor:
        return teach(self.net, weak, self.p.teacher_bn)
