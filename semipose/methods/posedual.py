"""PoseDual (Xie et al., ICCV 2021; methods.md 3.3): two networks teach each other, so neither can
collapse onto itself.

L = 1/2 L(f1(x_l), Y) + 1/2 L(f2(x_l), Y) + lambda_u
(L(f1(x_h1), W(H2, theta)) + L(f2(x_h2), W(H1, theta)))
H_n = f_n(x_e) without gradient, x_hn = W(S(x_e; H of the
other network), theta), with one theta for both.
The networks start from different warm-ups.
"""

from torch import Generator, Tensor

from semipose.augment.pseudo import PseudoLabels
from semipose.augment.task import Task
from semipose.config.methods import PoseDual as Params
from semipose.data.loading.batch import Batch
from semipose.methods.base import Consistency, Losses, teach, view_loss
from semipose.models.ema import Averages
from semipose.models.network import PoseNet


class PoseDual(Consistency):
    reported = "mean"

    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__()
        self.net, self.second = nets
        self.p, self.task, self.pseudo_label = params, task, params.pseudo_label
        self.paths = {"strong view": params.strong}
        self.averages = Averages(nets, params.ema)

    @property
    def networks(self) -> dict[str, PoseNet]:
        return {"net1": self.net, "net2": self.second}

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        p, f1, f2, task = self.p, self.net, self.second, self.task
        labelled = task.labelled(batch.labelled, generator)
        loss_l = 0.5 * view_loss(f1, labelled) + 0.5 * view_loss(f2, labelled)

        easy = task.weak_view(batch.unlabelled, generator)
        pseudo1, pseudo2 = (PseudoLabels(teach(net, easy, p.teacher_bn), task.sigma) for net in self.averages.teachers([f1, f2]))  # H1, H2
        theta = task.strong(len(easy), generator)
        loss_1 = view_loss(f1, self.strong_view(easy, pseudo2, theta, p.strong, generator))
        loss_2 = view_loss(f2, self.strong_view(easy, pseudo1, theta, p.strong, generator))
        return Losses({"supervised": loss_l, "net1": p.lambda_u * loss_1, "net2": p.lambda_u * loss_2}, {})

    def pseudo_labels(self, weak: Tensor, generator: Generator) -> PseudoLabels:
        _, teacher = self.averages.teachers([self.net, self.second])
        return PseudoLabels(teach(teacher, weak, self.p.teacher_bn), self.task.sigma)

    def after_step(self) -> None:
        self.averages.follow([self.net, self.second])
