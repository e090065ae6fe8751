"""What all methods of a comparison share: views of people, their targets, and the sizes."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from torch import Generator, Tensor

from semipose.augment import views
from semipose.augment.pseudo import PseudoLabels, View
from semipose.augment.strong import augment
from semipose.data.loading.batch import Labelled
from semipose.data.loading.normalise import normalise
from semipose.data.loading.pack import Crops
from semipose.pose import geometry, heatmap
from semipose.pose.heatmap import STRIDE
from semipose.pose.skeleton import Skeleton
from semipose.utils.errors import PACK_AGAIN, InputError

if TYPE_CHECKING:
    from semipose.config.augment import Augment
    from semipose.config.methods import Entry
    from semipose.config.tree import Params
    from semipose.data.loading.pack import CropPack


@dataclass(frozen=True)
class Task:
    """Views and targets of one training.

    Attributes:
        skeleton: The joints.
        height: Height of the network's input in px.
        width: Width of the network's input in px.
        device: Where the training computes.
        sigma: Standard deviation of the Gaussian targets, in heatmap cells.
        augment: How views are made.
    """

    skeleton: Skeleton
    height: int
    width: int
    device: torch.device
    sigma: float
    augment: "Augment"

    def of(self, entry: "Entry") -> "Task":
        """The task of an entry of `method`, whose own settings
        stand for those of `augment`.
        """
        own = {
            "labelled": entry.labelled,
            "strong": entry.strong_view,
            "strong_augment": entry.strong_augment,
            "reference_bugs": entry.reference_bugs,
        }
        return replace(self, augment=self.augment.model_copy(update={key: value for key, value in own.items() if value is not None}))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self.height, self.width

    @property
    def cells(self) -> tuple[int, int]:
        """Height and width of the heatmaps."""
        return self.height // STRIDE, self.width // STRIDE

    @property
    def centre(self) -> tuple[float, float]:
        """x, y of the input's centre (px), about which views rotate."""
        return (self.width - 1) / 2, (self.height - 1) / 2

    @cached_property
    def flip(self) -> Tensor:
        """The skeleton's `flip`, [K], on the device: indexing with a
        list would copy it there each time, and wait.
        """
        return torch.tensor(self.skeleton.flip, device=self.device)

    def view(self, crops: Tensor, matrices: Tensor) -> Tensor:
        """Crops uint8 [B, 3, S, S] seen through matrices [B, 2, 3] (crop px -> input px):
        normalised images [B, 3, H, W].
        """
        return geometry.warp(crops, matrices, self.size, normalise)

    def labelled(self, people: Labelled, generator: Generator) -> View:
        """A weak view of each labelled person, augmented as `augment.labelled` says."""
        matrices, flipped = self.weak(people.crops, generator)
        points = geometry.transform(matrices, people.points)
        # A mirrored person's left hand is a right hand.
        points = torch.where(flipped[:, None, None], points[:, self.flip], points)
        visible = torch.where(flipped[:, None], people.visible[:, self.flip], people.visible)
        view = View(self.view(people.crops.pixels, matrices), *self.targets(points, visible))
        labels = PseudoLabels(view.targets, self.sigma)
        return view._replace(images=augment(view.images, labels, self.augment.labelled, self.augment, generator))

    def weak(self, crops: Crops, generator: Generator) -> tuple[Tensor, Tensor]:
        """Sample weak views: matrices [B, 2, 3] from crop px to
        input px, and who is mirrored, [B] bool.
        """
        matrices, flipped = views.sample_weak(len(crops.base), self.augment.weak, self.centre, generator)
        return geometry.compose(matrices, crops.base), flipped

    def weak_view(self, crops: Crops, generator: Generator) -> Tensor:
        """A weak view [B, 3, H, W] of each crop."""
        return self.view(crops.pixels, self.weak(crops, generator)[0])

    def strong(self, count: int, generator: Generator) -> Tensor:
        """Sample theta of strong views: matrices [B, 2, 3] from weak-view px to strong-view px."""
        theta = views.sample_strong(count, self.augment.strong, self.centre, generator)
        return views.sheared(theta, self.size) if self.augment.reference_bugs.shear else theta

    def label_transform(self, theta: Tensor) -> Tensor:
        """How labels move if images move by theta: alike, unless the
        released code's half-cell shift is on (T5).

        There, heatmap cell u stands for pixel 4 u but rotates about the heatmap's centre: labels
        rotate about a point 1.5 px off.
        """
        if not self.augment.reference_bugs.half_cell:
            return theta
        beside = (STRIDE - 1) / 2
        shift = theta[:, :, 2] - beside + beside * theta[:, :, :2].sum(dim=2)  # t - (1 - L) (1.5, 1.5)
        return torch.cat([theta[:, :, :2], shift[..., None]], dim=-1)

    def moved(self, images: Tensor, pseudo: PseudoLabels, theta: Tensor | None, targets: Literal["raw", "rendered"]) -> View:
        """The strong view W(images, theta) with its pseudo-labels W(H, theta).

        Args:
            images: Weak views [B, 3, H, W], perhaps strongly augmented.
            pseudo: The teacher's pseudo-labels on the weak views.
            theta: Matrices [B, 2, 3] from weak-view px to strong-view px; None: nothing moves.
            targets: raw: the teacher's heatmaps, weight 1. rendered: a Gaussian at the moved
                keypoint, weighted by its confidence; `heatmap_loss` squares the weight, so half the
                confidence counts a quarter.
        """
        return View(images if theta is None else self.move_images(images, theta), *self.moved_labels(pseudo, theta, targets))

    def moved_labels(self, pseudo: PseudoLabels, theta: Tensor | None, targets: Literal["raw", "rendered"]) -> tuple[Tensor, Tensor]:
        """Heatmaps [B, K, h, w] and weights [B, K] of pseudo-labels that move by theta, as for `moved`."""
        labels = None if theta is None else self.label_transform(theta)
        if targets == "raw":
            heatmaps = pseudo.heatmaps if labels is None else self.move_heatmaps(pseudo.heatmaps, labels)
            return heatmaps, torch.ones_like(pseudo.heatmaps[:, :, 0, 0])
        points, confidence = pseudo.exact
        points = points if labels is None else geometry.transform(labels, points)
        return self.targets(points, confidence.clamp(0, 1))

    def move_images(self, images: Tensor, theta: Tensor) -> Tensor:
        """W(images, theta) for [B, 3, H, W]."""
        return geometry.warp(images, theta, self.size)

    def move_heatmaps(self, heatmaps: Tensor, theta: Tensor) -> Tensor:
        """W(heatmaps, theta) for [B, K, h, w], in register with move_images."""
        return geometry.warp(heatmaps, geometry.to_heatmap(theta, STRIDE), self.cells)

    def targets(self, points: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Heatmaps [B, K, h, w] and weights [B, K] of points [B, K, 2] in input px."""
        return heatmap.encode(points, visible, self.cells, STRIDE, self.sigma)


def task_of(params: "Params", pack: "CropPack", device: torch.device | str = "cpu") -> Task:
    """Make the task that params.yaml and a crop pack describe.

    Args:
        params: All parameters.
        pack: The training people; its skeleton is the task's.
        device: Where the training computes.

    Raises:
        InputError: The pack was made for another input aspect.
    """
    model = params.model
    if abs(pack.aspect - model.width / model.height) > 1e-6:
        wanted = model.width / model.height
        raise InputError(f"{pack.folder}: its crops have aspect {pack.aspect}, the network's input has {wanted}; {PACK_AGAIN}")
    return Task(pack.people.skeleton, model.height, model.width, torch.device(device), model.sigma, params.augment)
