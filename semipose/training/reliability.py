"""Whether a teacher knows when it is wrong: its confidence in
each pseudo-label, and the label's true error.
"""

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from semipose.augment.task import Task
from semipose.data.loading.pack import CropPack
from semipose.methods import Method
from semipose.training.probe import box_sides, label_view
from semipose.utils.seeding import generator_of

Columns = dict[str, NDArray[np.float64]]
STREAMS = ("probe", "second look")  # of random numbers, one for each weak view; the first is that of `probe`


@torch.no_grad()
def reliability(
    method: Method, task: Task, pack: CropPack, positions: NDArray[np.int64], batch_size: int, device: torch.device
) -> Columns | None:
    """Compare the teacher's confidence in each keypoint with its true error.

    The people are unlabelled ones, whose labels are known but unused in training; only annotated
    keypoints count.
    Works on a copy of the method, as `probe` does; arguments as there.

    Returns:
        Four columns of equal length, or None if the method has no teacher or the people no labels.
        `peak` is the height of the teacher's heatmap.
        `disagreement` is the distance of its keypoints on two weak views, always the same random
        ones.
        `spread` is the method's own measure (NaN if it has none).
        `error` is the distance of the first view's keypoint to the truth.
        Distances are in units of the longer side of the box.
    """
    if pack.people.skeleton != task.skeleton or not pack.people.visibility[positions].any():
        return None
    teacher, parts = copy.deepcopy(method), []
    for start in range(0, len(positions) - len(positions) % batch_size, batch_size):
        chosen = positions[start : start + batch_size]
        crops = pack.read(chosen, task.size).to(device)
        generators = (generator_of(0, stream, start, device) for stream in STREAMS)
        first, second = (label_view(teacher, task, crops, generator) for generator in generators)
        if first is None or second is None:
            return None
        points, visible = (tensor.to(device) for tensor in pack.points(chosen))
        side = box_sides(task, pack, crops)
        peak = first.pseudo.heatmaps.amax(dim=(2, 3))
        spread = torch.full_like(peak, torch.nan) if first.pseudo.spread is None else first.pseudo.spread
        disagreement, error = ((first.points - other).norm(dim=2) / side for other in (second.points, points))
        four = torch.stack([first.swapped(peak), disagreement, first.swapped(spread), error])
        parts.append(four[:, visible > 0].double().cpu().numpy())
    if not parts:
        return None
    return dict(zip(("peak", "disagreement", "spread", "error"), np.concatenate(parts, axis=1), strict=True))
