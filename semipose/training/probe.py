"""The quality of a teacher's pseudo-labels, measured on unlabelled people whose labels are known
but unused in training.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from semipose.augment.pseudo import MaskedLabels, PseudoLabels
from semipose.augment.task import Task
from semipose.data.loading.pack import CropPack, Crops
from semipose.evaluation.metrics.statistics import rank_correlation
from semipose.methods import Method
from semipose.pose.geometry import invert, transform
from semipose.utils.seeding import generator_of

THRESHOLD = 0.1  # of the box: the distance within which a pseudo-label counts as right


@dataclass(frozen=True)
class Probe:
    """The pseudo-labels of P people, measured.

    Attributes:
        ids: Annotation ids, [P].
        counts: Masks that the people get, [P]; NaN if the method has none.
        simple: Share of simple keypoints, [P]; NaN if the method has none.
        error: The teacher's mean keypoint error, [P], in units of the longer side of the box.
        pck: Share of keypoints with an error of at most 0.1.
    """

    ids: NDArray[np.int64]
    counts: NDArray[np.float64]
    simple: NDArray[np.float64]
    error: NDArray[np.float64]
    pck: float

    def row(self) -> dict[str, float]:
        """Make figures for the history.

        They are accuracy in percent, and the rank correlation of mask count and error.
        The correlation is below 0 if harder people get fewer masks, and left out if every count is
        the same.
        """
        correlation = rank_correlation(self.counts, self.error)
        accuracy = {"pseudo/PCK@0.1 box": 100 * self.pck}
        return accuracy | ({"pseudo/correlation": correlation} if np.isfinite(correlation) else {})


class ViewLabels(NamedTuple):
    """A teacher's pseudo-labels on one weak view of each of B people, and their keypoints [B, K, 2]
    in crop px, left on the left.

    `swapped` puts values of keypoints, [B, K], into the same order.
    """

    pseudo: PseudoLabels
    points: Tensor
    swapped: Callable[[Tensor], Tensor]


def label_view(teacher: Method, task: Task, crops: Crops, generator: Generator) -> ViewLabels | None:
    """Ask for pseudo-labels on a weak view of each crop.

    Args:
        teacher: The method; its batch-norm statistics may change.
        task: Views and targets.
        crops: B people.
        generator: For the weak views.

    Returns:
        The pseudo-labels; None if the method has no teacher.
    """
    matrices, flipped = task.weak(crops, generator)
    pseudo = teacher.pseudo_labels(task.view(crops.pixels, matrices), generator)
    if pseudo is None:
        return None
    found = torch.where(flipped[:, None, None], pseudo.points[:, task.flip], pseudo.points)
    return ViewLabels(pseudo, transform(invert(matrices), found), lambda of: torch.where(flipped[:, None], of[:, task.flip], of))


def box_sides(task: Task, pack: CropPack, crops: Crops) -> Tensor:
    """The longer side of each person's box, [B, 1], in crop px."""
    return max(task.size) / (crops.base[:, :1, 0] * pack.padding)


@torch.no_grad()
def probe(method: Method, task: Task, pack: CropPack, positions: NDArray[np.int64], batch_size: int, device: torch.device) -> Probe | None:
    """Compare a method's pseudo-labels on weak views (always the same random ones) with the truth.

    Works on a copy, because a teacher in batch-norm train mode would change the running statistics.

    Args:
        method: The method.
        task: Views and targets.
        pack: Pack of the unlabelled people.
        positions: Positions of the people in the pack; those after the last whole batch are left
            out.
        batch_size: People in one pass.
        device: Where the method is.

    Returns:
        The measurement; None if the method has no teacher, or if the people have no labels (a
        detector's boxes, another skeleton).
    """
    if pack.people.skeleton != task.skeleton or not pack.people.visibility[positions].any():
        return None
    teacher = copy.deepcopy(method)
    counts, simple, errors, right = [], [], [], []
    for start in range(0, len(positions) - len(positions) % batch_size, batch_size):
        chosen = positions[start : start + batch_size]
        crops = pack.read(chosen, task.size).to(device)
        seen = label_view(teacher, task, crops, generator_of(0, "probe", start, device))
        if seen is None:
            return None
        points, visible = (tensor.to(device) for tensor in pack.points(chosen))
        pseudo, error = seen.pseudo, (seen.points - points).norm(dim=2) / box_sides(task, pack, crops)
        unknown = torch.full((batch_size,), torch.nan, device=device)
        counts.append(pseudo.counts if isinstance(pseudo, MaskedLabels) else unknown)
        simple.append(pseudo.simple.float().mean(dim=1) if isinstance(pseudo, MaskedLabels) else unknown)
        errors.append((error * visible).sum(1) / visible.sum(1).clamp_min(1))
        right.append(torch.stack([((error <= THRESHOLD) * visible).sum(), visible.sum()]))
    if not counts:
        return None
    hits, total = torch.stack(right).sum(0).tolist()
    measured = [torch.cat(parts).double().cpu().numpy() for parts in (counts, simple, errors)]
    ids = pack.people.ids[positions[: len(counts) * batch_size]]
    return Probe(ids, measured[0], measured[1], measured[2], hits / max(total, 1))
