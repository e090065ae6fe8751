"""PoseCons (Xie et al., ICCV 2021; methods.md 3.2): one network
teaches itself from an easy to a hard view.

L = L(f(x_l), Y) + lambda_u L(f(x_h), W(H, theta)), H = f(x_e)
without gradient, x_h = W(S(x_e; H), theta).
The strong augmentation S (joint cutout and others) changes the easy view at the teacher's joints,
then the view moves.
"""

from torch import Generator, Tensor

from semipose.augment.pseudo import PseudoLabels
from semipose.augment.task import Task
from semipose.config.methods import PoseCons as Params
from semipose.data.loading.batch import Batch
from semipose.methods.base import Consistency, Losses, teach, view_loss
from semipose.models.ema import Averages
from semipose.models.network import PoseNet


class PoseCons(Consistency):
    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__()
        (self.net,) = nets
        self.p, self.task, self.pseudo_label = params, task, params.pseudo_label
        self.paths = {"strong view": params.strong}
        self.averages = Averages(nets, params.ema)

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        p, f, task = self.p, self.net, self.task
        loss_l = view_loss(f, task.labelled(batch.labelled, generator))

        easy = task.weak_view(batch.unlabelled, generator)
        pseudo = self.pseudo_labels(easy, generator)  # H
        theta = task.strong(len(easy), generator)
        loss_u = view_loss(f, self.strong_view(easy, pseudo, theta, p.strong, generator))
        return Losses({"supervised": loss_l, "unsupervised": p.lambda_u * loss_u}, {})

    def pseudo_labels(self, weak: Tensor, generator: Generator) -> PseudoLabels:
        (teacher,) = self.averages.teachers([self.net])
        return PseudoLabels(teach(teacher, weak, self.p.teacher_bn), self.task.sigma)

    def after_step(self) -> None:
        self.averages.follow([self.net])
