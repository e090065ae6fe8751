"""PoseCons (Xie et al., ICCV 2021; methods.md 3.2): one network
teaches itself from an easy to a hard view.

L = L(f(x_l), Y) + lambda_u L(f(x_h), W(H, theta)), H = f(x_e)
without gradient, x_h = W(S(x_e; H), theta).
The strong augmentation S (joint cutout and others) changes the easy view at the teacher's joints,
then the view moves.
"""

from torch import Generator

from semipose.config.methods import PoseCons as Params
from semipose.data.loading.batch import Batch
from semipose.methods.base import Losses, SelfTaught, view_loss


class PoseCons(SelfTaught):
    p: Params

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        p, f, task = self.p, self.net, self.task
        loss_l = view_loss(f, task.labelled(batch.labelled, generator))

        easy = task.weak_view(batch.unlabelled, generator)
        pseudo = self.pseudo_labels(easy, generator)  # H
        theta = task.strong(len(easy), generator)
        loss_u = view_loss(f, self.strong_view(easy, pseudo, theta, p.strong, generator))
        return Losses({"supervised": loss_l, "unsupervised": p.lambda_u * loss_u}, {})
