"""Poses of people in one's own images, in three lines:

poser = Poser.load("weights.safetensors")
poses = poser.predict(image)
poser.draw(image, poses).save("poses.jpg")
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from semipose.data.loading.normalise import normalise
from semipose.data.loading.pack import Crops, base_matrix, crop_matrices
from semipose.data.packing.cutting import resample
from semipose.inference.predict import SURE, Predictions, predict_crops
from semipose.models.network import evaluating, load_network, skeleton_of
from semipose.pose.drawing import draw_heatmap, draw_pose
from semipose.pose.geometry import invert, transform, warp
from semipose.utils.errors import InputError

Picture = Image.Image | NDArray[np.uint8]


class Poser:
    """A trained network, and what its metadata says about it: skeleton, input, padding, decoding."""

    def __init__(self, net: nn.Module, metadata: Mapping[str, Any], flip_test: bool = False, batch_size: int = 32) -> None:
        """`net` and `metadata` as `load_network` returns them. flip_test: average the heatmaps of an image and its mirror image.
        batch_size: people in one forward pass. Raises InputError if the metadata lacks a field."""
        try:
            self.size, self.sigma = (int(metadata["model"]["height"]), int(metadata["model"]["width"])), float(metadata["model"]["sigma"])
            self.padding, self.decode = float(metadata["padding"]), str(metadata["decode"])
            self.skeleton = skeleton_of(metadata)
        except KeyError as error:
            raise InputError(f"the metadata of the weight file has no {error}; use a weights.safetensors that `train` wrote") from None
        self.net, self.batch_size = net, batch_size
        self.flip = self.skeleton.flip if flip_test else None
        self.device = next((parameter.device for parameter in net.parameters()), torch.device("cpu"))
        # A crop has the pixels of the network's input, in a square, so that nothing is resampled twice.
        self.side = max(self.size)
        self.base = base_matrix(self.side, 1.0, self.size, self.device)

    @classmethod
    def load(cls, weights: Path | str, device: str | None = None, flip_test: bool = False, batch_size: int = 32) -> "Poser":
        """From a weights.safetensors, on `device` (default: the GPU where there is one). Raises InputError."""
        net, metadata = load_network(Path(weights))
        return cls(net.to(device or ("cuda" if torch.cuda.is_available() else "cpu")), metadata, flip_test, batch_size)

    def predict(self, image: Picture, boxes: NDArray[np.floating] | None = None) -> Predictions:
        """Poses, in px of the image, of the people in these boxes [N, 4] (xywh px); without boxes the image is one person.

        The image is Pillow's, or RGB uint8 [H, W, 3]. Each box goes the way of a training crop: grown by the metadata's padding to the
        network's aspect, mean colour outside the image. Raises InputError for an image or a box of another kind, the box by its number.
        """
        return next(self.predict_all([(image, boxes)]))

    def predict_all(self, images: Iterable[tuple[Picture, NDArray[np.floating] | None]]) -> Iterator[Predictions]:
        """The same for image after image, people of several images in one pass: what `predict` gives, in order, a batch later."""
        counts: deque[int] = deque()  # people of each image that has not been given back
        crops: list[tuple[NDArray[np.uint8], Tensor]] = []  # not looked at yet
        found: deque[tuple[NDArray[np.float32], NDArray[np.float32]]] = deque()  # looked at, not given back yet

        def answers(least: int) -> Iterator[Predictions]:
            """Of the images whose people have all been looked at; passes are made while so many crops wait."""
            while len(crops) >= least:
                found.extend(self._look(crops[: self.batch_size]))
                del crops[: self.batch_size]
            while counts and len(found) >= counts[0]:
                people, joints = [found.popleft() for _ in range(counts.popleft())], len(self.skeleton.joints)
                points = np.array([points for points, _ in people], np.float32).reshape(-1, joints, 2)
                yield Predictions(points, np.array([sure for _, sure in people], np.float32).reshape(-1, joints))

        for image, boxes in images:
            cut = list(self._cut(image, boxes))
            counts.append(len(cut))
            crops += cut
            yield from answers(self.batch_size)
        yield from answers(1)

    def _look(self, people: list[tuple[NDArray[np.uint8], Tensor]]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Points [K, 2] in image px and confidence [K] of people cut out by `_cut`, in one pass."""
        views = torch.from_numpy(np.stack([crop for crop, _ in people])).permute(0, 3, 1, 2).to(self.device)
        points, confidence = predict_crops(self.net, Crops(views, self.base), self.size, self.flip, self.decode, self.sigma)
        in_image = transform(invert(torch.stack([matrix for _, matrix in people])), points.cpu())
        return zip(in_image.numpy(), confidence.float().cpu().numpy(), strict=True)

    def heatmaps(self, image: Picture, boxes: NDArray[np.floating] | None = None) -> list[Image.Image]:
        """What the network says of each person: the crop that it sees, under its heatmaps."""
        found = []
        for crop, _ in self._cut(image, boxes):
            view = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].to(self.device)
            with evaluating(self.net), torch.inference_mode():
                (heatmaps,) = self.net(warp(normalise(view), self.base, self.size)).float().cpu().numpy()
            (h, w), (y, x) = self.size, ((self.side - extent) // 2 for extent in self.size)
            found.append(draw_heatmap(crop[y : y + h, x : x + w], heatmaps))
        return found

    def draw(self, image: Picture, poses: Predictions) -> Image.Image:
        """The image with the poses on it; joints below a confidence of 0.2 are left out."""
        return draw_pose(image, poses.points, poses.confidence, self.skeleton, SURE)

    def _cut(self, image: Picture, boxes: NDArray[np.floating] | None) -> Iterator[tuple[NDArray[np.uint8], Tensor]]:
        """Each person's crop, uint8 [S, S, 3], and the matrix [2, 3] from image px to crop px."""
        picture = image.convert("RGB") if isinstance(image, Image.Image) else _picture(image)
        whole = np.array([[0, 0, *picture.size]], np.float32)
        chosen = whole if boxes is None else np.asarray(boxes, np.float32).reshape(-1, 4)
        check_boxes(chosen, picture.size)
        if len(chosen):
            for matrix in crop_matrices(chosen, self.side, self.padding, 1.0, self.size[1] / self.size[0]):
                yield np.asarray(resample(picture, matrix.numpy(), self.side)), matrix


def check_boxes(boxes: NDArray[np.floating], size: tuple[int, int], where: str = "") -> None:
    """Raise InputError for a box (xywh px) that cannot hold a person of an image of `size` (width, height): without extent, wholly
    outside, or larger by far. `where` begins the message."""
    for number, (x, y, w, h) in enumerate(boxes.tolist()):
        if not np.isfinite([x, y, w, h]).all() or w <= 0 or h <= 0:
            raise InputError(f"{where}box [{number}]: {[x, y, w, h]}, must be x, y, width, height in px, finite, of some size")
        if max(w, h) > 10 * max(size):
            raise InputError(f"{where}box [{number}]: {[x, y, w, h]} is more than ten times as large as its image")
        if x + w <= 0 or y + h <= 0 or x >= size[0] or y >= size[1]:
            raise InputError(f"{where}box [{number}]: {[x, y, w, h]} lies outside the image of {size[0]} x {size[1]} px")


def _picture(image: NDArray[np.uint8]) -> Image.Image:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise InputError(f"image: shape {image.shape} of {image.dtype}, must be (height, width, 3) of uint8, RGB")
    return Image.fromarray(image)
