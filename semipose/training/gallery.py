"""Pictures of people in training: a method's inputs and outputs."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from semipose.augment import mixing, patches
from semipose.augment.adaptive import adaptive_count
from semipose.augment.pseudo import MaskedLabels
from semipose.augment.task import Task
from semipose.data.loading.normalise import denormalise
from semipose.data.loading.pack import CropPack
from semipose.methods import AKM, JointMix, Method
from semipose.methods.base import Consistency
from semipose.models.network import evaluating
from semipose.pose.drawing import draw_heatmap, sheet
from semipose.utils.seeding import generator_of

TILE = 168  # px; width of a picture in a sheet
SOUGHT = 512  # unlabelled people among whom the surest and the least sure are found
BATCH = 32  # of them in a pass
MIXED = 0.6  # alpha in the picture of the mixed view: a random one is mostly near 0 or 1 and would show little


def training_views(method: Method, task: Task, pack: CropPack, unlabelled: NDArray[np.int64]) -> dict[str, Image.Image]:
    """Make the pictures of a finished training.

    Args:
        method: The trained method.
        task: Its views and targets.
        pack: The pack of the unlabelled people.
        unlabelled: Their positions in the pack; five of them are shown.

    Returns:
        `strip`, and for AKM `masks` of a clear and a hard person.
    """
    found = {"strip": strip(method, task, pack, _evenly(unlabelled, 5))}
    if isinstance(method, AKM):
        found["masks"] = masks_of_clear_and_hard(method, task, pack, _evenly(unlabelled, SOUGHT))
    return found


def _evenly(positions: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return positions[np.linspace(0, len(positions) - 1, min(count, len(positions))).astype(int)]


@torch.no_grad()
def strip(method: Method, task: Task, pack: CropPack, positions: NDArray[np.int64]) -> Image.Image:
    """Make a sheet with one row per person.

    A row begins with the weak view and its pseudo-label, or the network's heatmaps if the method
    has no teacher.
    Then it shows each strong view with its pseudo-label and the student's heatmaps; for AKM and
    JointMix the mixed view last.

    Args:
        method: The trained method.
        task: Its views and targets.
        pack: The pack of the people.
        positions: Whom to show, [N] positions in the pack.
    """
    device = next(method.parameters()).device
    generator = generator_of(0, "strip", 0, device)
    weak = task.weak_view(pack.read(positions, task.size).to(device), generator)
    with evaluating(method):
        pseudo = method.pseudo_labels(weak, generator)
        columns: dict[str, list[Any]] = {"weak view": _pictures(weak)}
        if pseudo is None:
            return _rows(columns | {"network": _maps(weak, method.net(weak))}, task)
        columns["teacher"] = _maps(weak, pseudo.heatmaps)
        if isinstance(method, Consistency):
            theta = task.strong(len(weak), generator)  # one for all paths, as in training
            for name, path in method.paths.items():
                view = method.strong_view(weak, pseudo, theta, path, generator)
                columns |= {
                    name: _pictures(view.images),
                    f"{name}: pseudo-label": _maps(view.images, view.targets),
                    f"{name}: student": _maps(view.images, method.net(view.images)),
                }
        if isinstance(method, AKM) and isinstance(pseudo, MaskedLabels):
            view = method.strong_view(weak, pseudo, generator)
            columns |= {
                "masked strong view": _pictures(view.images),
                "its pseudo-label": _maps(view.images, view.targets),
                "student on it": _maps(view.images, method.net(view.images)),
            }
        if isinstance(method, AKM | JointMix):
            partner = torch.arange(len(positions), device=device).roll(1)  # each person with another one
            columns[f"mixed view, alpha {MIXED}"] = _pictures(mixing.mix(view.images, partner, MIXED))
    return _rows(columns, task)


def _rows(columns: dict[str, list[Any]], task: Task) -> Image.Image:
    """A sheet with one row per person."""
    people = len(next(iter(columns.values())))
    tiles = [column[row] for row in range(people) for column in columns.values()]
    return sheet(tiles, list(columns) * people, len(columns), (TILE, TILE * task.height // task.width))


@torch.no_grad()
def masks_of_clear_and_hard(method: AKM, task: Task, pack: CropPack, positions: NDArray[np.int64]) -> Image.Image:
    """Make the paper's figure 3: a clear and a hard person under fixed and adaptive masking.

    They are those with the most and the fewest simple keypoints; among equals, the mean peak of the
    heatmaps decides.

    Args:
        method: The trained method.
        task: Its views and targets.
        pack: The pack of the unlabelled people.
        positions: The people to choose from, positions in the pack.
    """
    device = next(method.parameters()).device

    def seen(people: NDArray[np.int64]) -> tuple[Tensor, MaskedLabels]:
        weak = task.view(*pack.read(people, task.size).to(device))
        return weak, method.pseudo_labels(weak, generator_of(0, "counts", 0, device))

    with evaluating(method):
        each = [seen(part)[1] for part in np.array_split(positions, -(-len(positions) // BATCH))]
        simple = torch.cat([pseudo.simple.sum(dim=1) for pseudo in each]).cpu()
        peaks = torch.cat([pseudo.heatmaps.amax(dim=(2, 3)).mean(dim=1) for pseudo in each]).cpu()
        order = np.lexsort((peaks, simple))
        weak, pseudo = seen(positions[order[[-1, 0]]])
        adaptive = adaptive_count(pseudo.heatmaps, pseudo.simple, method.p)  # whatever method.p.masking does with them
        fixed = torch.full_like(adaptive, method.p.fixed_count)
        masked = [
            patches.mask_keypoints(
                weak, patches.keypoint_masks(pseudo.points, counts, None, task.size, method.p.patch, generator_of(0, "masks", 0, device))
            )
            for counts in (fixed, adaptive)
        ]
    tiles: list[Image.Image | NDArray[np.uint8]] = []
    captions = []
    for k, name in enumerate(("surest", "least sure")):
        tiles += [_pictures(weak)[k], _maps(weak, pseudo.heatmaps)[k], _pictures(masked[0])[k], _pictures(masked[1])[k]]
        captions += [
            f"the teacher is {name}",
            f"its heatmaps: {int(pseudo.simple[k].sum())} of {pseudo.simple.shape[1]} keypoints simple",
            f"fixed: {_masks(int(fixed[k]))}",
            f"adaptive: {_masks(int(adaptive[k]))}",
        ]
    return sheet(tiles, captions, 4, (TILE, TILE * task.height // task.width))


def _masks(count: int) -> str:
    return f"{count} mask{'s' * (count != 1)}"


def _pictures(images: Tensor) -> list[NDArray[np.uint8]]:
    return list(denormalise(images).permute(0, 2, 3, 1).cpu().numpy())


def _maps(images: Tensor, heatmaps: Tensor) -> list[Image.Image]:
    return [draw_heatmap(picture, maps) for picture, maps in zip(_pictures(images), heatmaps.float().cpu().numpy(), strict=True)]
