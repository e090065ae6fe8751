"""The teacher's side of consistency training: what it says of a weak view, and that as the target of a strong view."""

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from semipose.geometry import transform
from semipose.heatmap import decode
from semipose.models import STRIDE, PoseNet

if TYPE_CHECKING:
    from semipose.task import Task


@torch.no_grad()
def teach(net: PoseNet, weak: Tensor, batch_norm: Literal["train", "eval"]) -> Tensor:
    """Heatmaps [B, K, h, w] of the weak views [B, 3, H, W], no gradient. `train`: batch statistics, and the running ones move (the
    peers); `eval`: running statistics."""
    mode = net.training
    if batch_norm == "eval":
        net.eval()
    heatmaps = net(weak).float()
    net.train(mode)
    return heatmaps


def moved_targets(task: "Task", heatmaps: Tensor, theta: Tensor, pseudo_label: Literal["raw", "rendered"]) -> tuple[Tensor, Tensor]:
    """W(H, theta): targets [B, K, h, w] of the strong views and their weights [B, K].

    raw: the heatmaps themselves, moved, weight 1. rendered: a Gaussian at the moved keypoint, weighted by its confidence
    (a weight stands inside the square of ``heatmap_loss``, so that half the confidence counts a quarter).
    """
    theta = task.taught(theta)
    if pseudo_label == "raw":
        return task.move_heatmaps(heatmaps, theta), torch.ones_like(heatmaps[:, :, 0, 0])
    points, confidence = decode(heatmaps, STRIDE, "dark", task.sigma)  # a quarter cell of rounding would be taught as truth
    return task.targets(transform(theta, points), confidence.clamp(0, 1))
