"""Denoising and Selecting Pseudo-Heatmaps (Yu et al., WACV 2024, arXiv 2310.00099; methods.md 3.9).

A reconstruction, because no code is public.
Two students teach each other as in PoseDual, with better pseudo-labels.
Each student n predicts V views of the easy view x_e (as it is, mirrored, rotated).
Its heatmaps H_n^v, moved back onto x_e, are
  denoised:  M_n = max over v of H_n^v, then a Gaussian at
  argmax M_n if the peak reaches tau, else left out;
  selected:  U_n = max over pixels of the standard deviation over v of H_n^v; the student with the
  smaller U_n teaches.
L = 1/2 L(f1(x_l), Y) + 1/2 L(f2(x_l), Y) + lambda_u (L(f1(x_h1), T) + L(f2(x_h2), T)), for each
person and joint separately.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from semipose.augment.pseudo import PseudoLabels
from semipose.augment.task import Task
from semipose.config.methods import DenoiseSelect as Params
from semipose.data.loading.batch import Batch
from semipose.methods.base import Consistency, Losses, teach, view_loss
from semipose.models.ema import Averages
from semipose.models.network import PoseNet
from semipose.pose.geometry import cells_to_pixels, invert, similarity
from semipose.pose.heatmap import STRIDE

INSIDE = 0.999  # a cell that is completely inside a view, up to rounding


@dataclass(frozen=True, eq=False)
class Denoised(PseudoLabels):
    """Merged heatmaps M, whose keypoint is the argmax, with `weight` 0 or 1 and `spread` U."""

    @cached_property
    def points(self) -> Tensor:
        """Keypoints [B, K, 2] in px of the weak view, at the centre of the highest heatmap cell."""
        return cells_to_pixels(self.peaks[0], STRIDE)

    @cached_property
    def exact(self) -> tuple[Tensor, Tensor]:
        """The same keypoints, and their weights [B, K]."""
        assert self.weight is not None
        return self.points, self.weight


class Views(NamedTuple):
    """A student's heatmaps of V views, moved back onto the easy view.

    Attributes:
        heatmaps: [V, B, K, h, w].
        seen: Heatmap cells that each view contained, [V, 1, 1, h, w] bool.
    """

    heatmaps: Tensor
    seen: Tensor


def merged(views: Views) -> Tensor:
    """M [B, K, h, w]: the maximum over the views that contained the heatmap cell; 0 if none did."""
    largest = views.heatmaps.masked_fill(~views.seen, -torch.inf).amax(dim=0)
    return torch.where(views.seen.any(dim=0), largest, 0.0)


def uncertainty(views: Views) -> Tensor:
    """U [B, K]: the maximum over heatmap cells of the standard deviation (of the population) over
    the views that contained the cell.
    """
    count = views.seen.sum(dim=0).clamp_min(1)
    mean = (views.heatmaps * views.seen).sum(dim=0) / count
    variance = ((views.heatmaps - mean).square() * views.seen).sum(dim=0) / count
    return variance.sqrt().amax(dim=(2, 3))


class DenoiseSelect(Consistency):
    reported = "mean"
    pseudo_label = "rendered"

    def __init__(self, nets: list[PoseNet], params: Params, task: Task) -> None:
        super().__init__()
        self.net, self.second = nets
        self.p, self.task = params, task
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
        target1, target2 = self.targets(easy)
        theta = task.strong(len(easy), generator)
        loss_1 = view_loss(f1, self.strong_view(easy, target1, theta, p.strong, generator))
        loss_2 = view_loss(f2, self.strong_view(easy, target2, theta, p.strong, generator))
        terms = {"supervised": loss_l, "net1": p.lambda_u * loss_1, "net2": p.lambda_u * loss_2}
        assert target1.weight is not None
        return Losses(terms, {"kept": target1.weight.mean()})

    def targets(self, easy: Tensor) -> tuple[Denoised, Denoised]:
        """The pseudo-labels of the first and of the second student."""
        views = [self.predict_views(net, easy) for net in self.averages.teachers([self.net, self.second])]
        maps = [merged(one) for one in views]
        if self.p.uncertainty == "cross":
            spread = [uncertainty(Views(*(torch.cat(both) for both in zip(*views, strict=True))))] * 2
        else:
            spread = [uncertainty(one) for one in views]
        if self.p.select == "cross":
            return self.denoised(maps[1], spread[1]), self.denoised(maps[0], spread[0])
        tied = (spread[1] == spread[0]) & (maps[1].amax(dim=(2, 3)) > maps[0].amax(dim=(2, 3)))
        second = (spread[1] < spread[0]) | tied
        chosen = self.denoised(torch.where(second[..., None, None], maps[1], maps[0]), torch.where(second, spread[1], spread[0]))
        return chosen, chosen

    def denoised(self, maps: Tensor, spread: Tensor) -> Denoised:
        """Merged heatmaps as pseudo-labels; weight 0 below tau."""
        return Denoised(maps, self.task.sigma, weight=(maps.amax(dim=(2, 3)) >= self.p.tau).float(), spread=spread)

    @torch.no_grad()
    def predict_views(self, net: PoseNet, easy: Tensor) -> Views:
        """One pass per view, moved back onto the easy view with left and right restored."""
        task, heatmaps, seen = self.task, [], []
        for view in self.p.views:
            mirrored = view == "flip"
            angle = easy.new_full((1,), 0.0 if view == "flip" else view)
            theta = similarity(angle, torch.ones_like(angle), torch.full_like(angle, mirrored, dtype=torch.bool), task.centre)
            maps = task.move_heatmaps(teach(net, task.move_images(easy, theta), self.p.teacher_bn), invert(theta))
            heatmaps.append(maps[:, task.flip] if mirrored else maps)
            seen.append(task.move_heatmaps(maps.new_ones(1, 1, *task.cells), invert(theta)) > INSIDE)
        return Views(torch.stack(heatmaps), torch.stack(seen))

    def pseudo_labels(self, weak: Tensor, generator: Generator) -> PseudoLabels:
        return self.targets(weak)[0]

    def after_step(self) -> None:
        self.averages.follow([self.net, self.second])
