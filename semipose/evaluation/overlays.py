"""Pictures of validation people with their true pose and with a network's prediction."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from semipose.data.loading.pack import CropPack
from semipose.inference.predict import SURE, Predictions
from semipose.pose.drawing import draw_pose, sheet
from semipose.pose.geometry import transform

HEIGHT = 200  # px of a picture


def ranked(pack: CropPack, found: Predictions, scores: NDArray[np.float64], count: int, metric: str) -> Iterator[tuple[str, Image.Image]]:
    """Yield sheets of the best, the median and the worst people.

    Truth is above, prediction below, the score in the caption.

    Args:
        pack: The N people.
        found: Their predicted poses.
        scores: OKS or PCK of each person, [N], 0-1; people with NaN are left out.
        count: People on a sheet.
        metric: Name of the score in the captions.
    """
    order = np.argsort(-scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    middle = max(0, len(order) // 2 - count // 2)
    for name, chosen in {"best": order[:count], "median": order[middle : middle + count], "worst": order[-count:][::-1]}.items():
        if len(chosen):
            labels = ["truth"] * len(chosen) + [f"{metric} {scores[k]:.2f}" for k in chosen]
            tiles = [*true_poses(pack, chosen), *found_poses(pack, found, chosen)]
            yield name, sheet(tiles, labels, len(chosen))


def sample(scores: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Choose people evenly over the validation set.

    Whether a person has a score depends only on the truth, so the people are the same for every
    network.

    Args:
        scores: [N], NaN if a person has none.
        count: Number of people.

    Returns:
        Positions of people with a score; of any people if nobody has one.
    """
    known = np.flatnonzero(np.isfinite(scores) | ~np.isfinite(scores).any())
    return known[np.unique(np.linspace(0, len(known) - 1, min(count, len(known))).astype(np.int64))]


def true_poses(pack: CropPack, chosen: NDArray[np.int64]) -> list[Image.Image]:
    """A picture of each person with the annotated pose."""
    points, visible = (tensor.numpy() for tensor in pack.points(chosen))
    return _rendered(pack, chosen, points, visible, 0.0)


def found_poses(pack: CropPack, found: Predictions, chosen: NDArray[np.int64]) -> list[Image.Image]:
    """A picture of each person with the joints of which the network is confident."""
    points = transform(torch.from_numpy(np.array(pack.matrices[chosen])), torch.from_numpy(found.points[chosen])).numpy()
    return _rendered(pack, chosen, points, found.confidence[chosen], SURE)


def _rendered(
    pack: CropPack, chosen: NDArray[np.int64], points: NDArray[np.floating], seen: NDArray[np.floating], threshold: float
) -> list[Image.Image]:
    """Poses (px of the crop) on the part of the crop that the
    network sees, enlarged before rendering.
    """
    size = HEIGHT, round(HEIGHT * pack.aspect)
    pixels, bases = pack.read(chosen, size)
    poses = transform(bases, torch.from_numpy(points)).numpy()
    pictures = []
    for crop, base, pose, sure in zip(pixels.permute(0, 2, 3, 1).numpy(), bases.numpy(), poses, seen, strict=True):
        # Pillow counts from the edge of the first pixel, half a pixel before its centre.
        left, top, right, bottom = (
            min(max((edge - 0.5 - shift) / base[0, 0] + 0.5, 0.0), pack.size)
            for edge, shift in zip((0, 0, size[1], size[0]), (*base[:, 2], *base[:, 2]), strict=True)
        )
        seen_of_it = Image.fromarray(crop).resize(size[::-1], Image.Resampling.BICUBIC, box=(left, top, right, bottom))
        pictures.append(draw_pose(seen_of_it, pose, sure, pack.people.skeleton, threshold))
    return pictures
