"""Poses from crops, in image px, and the COCO results made from them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from semipose.data.loading.normalise import normalise
from semipose.data.loading.pack import CropPack, Crops
from semipose.data.loading.prefetch import ToGPU
from semipose.data.schema import PERSON
from semipose.models.network import evaluating
from semipose.pose.geometry import invert, transform, warp
from semipose.pose.heatmap import decode as decode_heatmaps
from semipose.pose.heatmap import flip_average
from semipose.utils.progress import Progress

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SURE = 0.2
"""Joints with a lower confidence do not count in a person's
score (methods.md 1.5) and are not shown.
"""


@dataclass(frozen=True, eq=False)
class Predictions:
    """N poses: points [N, K, 2] in image px, confidence [N, K], the peak values of their heatmaps."""

    points: NDArray[np.float32]
    confidence: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.points)


def predict_crops(
    net: nn.Module,
    crops: Crops,
    size: tuple[int, int],
    permutation: Sequence[int] | None,
    decode: str,
    sigma: float = 2.0,
) -> tuple[Tensor, Tensor]:
    """Predict the poses of people cut out.

    The network runs in eval mode and gets its own mode back.

    Args:
        net: The network.
        crops: B people, on the network's device.
        size: (h, w) of the network's input.
        permutation: The skeleton's `flip` for the flip test (the mean of the heatmaps of a view and
            its mirror image); None: no flip test.
        decode: "quarter" or "dark".
        sigma: In heatmap cells, for "dark".

    Returns:
        Points [B, K, 2] in crop px, and confidence [B, K].
    """
    views = warp(crops.pixels, crops.base, size, normalise)
    with evaluating(net), torch.inference_mode():
        heatmaps = net(views)
        if permutation is not None:
            heatmaps = flip_average(heatmaps, net(views.flip(-1)), permutation)
        points, confidence = decode_heatmaps(heatmaps, size[1] // heatmaps.shape[-1], decode, sigma)
        return transform(invert(crops.base), points), confidence


def predict_pack(
    net: nn.Module,
    pack: CropPack,
    positions: ArrayLike,
    size: tuple[int, int],
    flip_test: bool,
    decode: str,
    batch_size: int,
    device: torch.device | str,
    sigma: float = 2.0,
) -> Predictions:
    """Predict the poses of people of a pack.

    Args:
        net: The network.
        pack: The pack.
        positions: Whom to predict, positions in the pack.
        size: (h, w) of the network's input.
        flip_test: Whether the heatmaps of a view and its mirror image are averaged.
        decode: "quarter" or "dark".
        batch_size: People in one pass.
        device: Where the network is.
        sigma: In heatmap cells, for "dark".

    Returns:
        Poses in image px, in the order of `positions`.
    """
    chosen = np.asarray(positions, np.int64)
    skeleton = pack.people.skeleton
    found = Predictions(
        np.zeros((len(chosen), len(skeleton.joints), 2), np.float32), np.zeros((len(chosen), len(skeleton.joints)), np.float32)
    )
    batches = [chosen[start : start + batch_size] for start in range(0, len(chosen), batch_size)]
    with Progress(len(chosen), "people") as progress, _reading(pack, batches, size, torch.device(device)) as read:
        for number, batch in enumerate(batches):
            points, confidence = predict_crops(net, read(number, 0), size, skeleton.flip if flip_test else None, decode, sigma)
            to_crop = torch.from_numpy(np.array(pack.matrices[batch], np.float32))
            done = slice(number * batch_size, number * batch_size + len(batch))
            found.points[done] = transform(invert(to_crop), points.cpu())
            found.confidence[done] = confidence.float().cpu()
            progress.advance(len(batch))
    return found


def shared_out(predict: Callable[[NDArray[np.int64]], Predictions], positions: NDArray[np.int64], fabric: "Fabric") -> Predictions:
    """Predict people with all processes of a training, each doing its share.

    Args:
        predict: Predicts the people at these positions.
        positions: All positions.
        fabric: The launched Fabric.

    Returns:
        The whole result, in every process.
    """
    found = predict(np.array_split(positions, fabric.world_size)[fabric.global_rank])
    if fabric.world_size == 1:
        return found
    shares: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(shares, (found.points, found.confidence))
    points, confidence = (np.concatenate(parts) for parts in zip(*shares, strict=True))
    return Predictions(points, confidence)


def pose_scores(confidence: NDArray[np.floating], box_scores: ArrayLike | None = None) -> NDArray[np.float64]:
    """Compute the score of each pose.

    It is the mean confidence of the joints above SURE, times the box score.

    Args:
        confidence: [N, K].
        box_scores: [N]; None: 1 for each.

    Returns:
        [N]; 0 for a pose without such a joint.
    """
    sure = confidence > SURE
    total = np.where(sure, confidence, 0).sum(1, dtype=np.float64)
    return total / sure.sum(1).clip(1) * (1.0 if box_scores is None else np.asarray(box_scores, np.float64))


def to_results(
    predictions: Predictions,
    image_ids: Sequence[int] | NDArray[np.int64],
    box_scores: ArrayLike | None = None,
    category: int = PERSON,
) -> list[dict[str, Any]]:
    """Make COCO keypoint results.

    They have image_id, category_id, keypoints (x, y, confidence of each joint) and score.
    They have no bbox (reference bug T18).

    Args:
        predictions: N poses.
        image_ids: The image of each, [N].
        box_scores: As for `pose_scores`.
        category: The category's id.
    """
    keypoints = np.concatenate([predictions.points, predictions.confidence[..., None]], axis=2)
    rows = keypoints.reshape(len(keypoints), 3 * keypoints.shape[1])  # also without people
    scores = pose_scores(predictions.confidence, box_scores)
    return [
        {"image_id": int(image_id), "category_id": category, "keypoints": pose, "score": score}
        for image_id, pose, score in zip(image_ids, rows.tolist(), scores.tolist(), strict=True)
    ]


@contextmanager
def _reading(
    pack: CropPack, batches: Sequence[NDArray[np.int64]], size: tuple[int, int], device: torch.device
) -> Iterator[Callable[[int, int], Crops]]:
    """The crops of each batch, by its number, on the device; for a GPU they are prefetched."""
    if device.type != "cuda":
        yield lambda number, _: pack.read(batches[number], size).to(device)
        return
    with closing(ToGPU(lambda number, _: pack.read(batches[number], size), device, end=len(batches))) as ahead:
        yield ahead
