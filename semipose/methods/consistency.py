"""Consistency training on strengthened strong views: what PoseCons, PoseDual, SSPCM and MultiAugs have in common."""

from typing import TYPE_CHECKING, Literal, NamedTuple

from torch import Generator, Tensor

from semipose.methods.method import Method
from semipose.methods.teacher import moved_targets

if TYPE_CHECKING:
    from semipose.params import Path
    from semipose.task import Task


class View(NamedTuple):
    """A strong view: images [B, 3, H, W], target heatmaps [B, K, h, w], weights [B, K]."""

    images: Tensor
    targets: Tensor
    weight: Tensor


class Consistency(Method):
    """`paths`: the strengthenings of each strong view, by a name to show."""

    task: "Task"
    pseudo_label: Literal["raw", "rendered"]
    paths: dict[str, "Path"]

    def strong_view(self, easy: Tensor, taught: Tensor, theta: Tensor, path: "Path", generator: Generator) -> View:
        """W(S(x_e; H), theta) with W(H, theta): strengthened at the keypoints of the heatmaps that are taught on it."""
        images = self.task.move_images(self.task.strengthen(easy, taught, path, generator), theta)
        return View(images, *moved_targets(self.task, taught, theta, self.pseudo_label))
