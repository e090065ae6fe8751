"""MultiAugs (Zhang et al. 2024; methods.md 3.5): several strongly augmented copies of the easy
view, each with a loss.

Single: L = L(f(x_l), Y) + lambda_u sum_k L(f(x_k), W(H, theta)).
Dual: the targets are crossed and the supervised losses halved, as in PoseDual.
x_k = W(S_k(x_e), theta): path k augments its own copy, and one theta per person moves all of them.
"""

import torch
from torch import Generator, Tensor

from semipose.augment.pseudo import PseudoLabels
from semipose.augment.task import Task
from semipose.config.methods import MultiAugs as Params
from semipose.data.loading.batch import Batch
from semipose.methods.base import Consistency, Losses, teach, view_loss
from semipose.models.ema import Averages
from semipose.models.network import PoseNet


class MultiAugs(Consistency):
    """On one network, which teaches itself, or on two, which teach each other."""

    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__()
        self.net, self.second = nets[0], nets[1] if len(nets) > 1 else None
        self.p, self.task, self.pseudo_label = params, task, params.pseudo_label
        self.paths = {f"path {k}": path for k, path in enumerate(params.paths, start=1)}
        self.averages = Averages(nets, params.ema)
        self.reported = "net" if len(nets) == 1 else "mean"

    @property
    def networks(self) -> dict[str, PoseNet]:
        return {"net": self.net} if self.second is None else {"net1": self.net, "net2": self.second}

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        p, task, networks = self.p, self.task, self.networks
        labelled = task.labelled(batch.labelled, generator)
        terms = {"supervised": torch.stack([view_loss(net, labelled) for net in networks.values()]).mean()}

        easy = task.weak_view(batch.unlabelled, generator)
        answers = [PseudoLabels(teach(net, easy, p.teacher_bn), task.sigma) for net in self.averages.teachers([*networks.values()])]
        theta = task.strong(len(easy), generator)
        for (name, net), pseudo in zip(networks.items(), reversed(answers), strict=True):  # of the other network
            for k, path in enumerate(p.paths, start=1):
                terms[f"{name}/path{k}"] = p.lambda_u * view_loss(net, self.strong_view(easy, pseudo, theta, path, generator))
        return Losses(terms, {})

    def pseudo_labels(self, weak: Tensor, generator: Generator) -> PseudoLabels:
        *_, teacher = self.averages.teachers([*self.networks.values()])
        return PseudoLabels(teach(teacher, weak, self.p.teacher_bn), self.task.sigma)

    def after_step(self) -> None:
        self.averages.follow([*self.networks.values()])
