"""Poses of people in your own images, in three lines:

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

from semipose.data.loading.matrices import pack_matrices, view_matrices
from semipose.data.loading.normalise import denormalise, normalise
from semipose.data.loading.pack import Crops
from semipose.data.packing.cutting import cut_out, through_jpeg
from semipose.data.pixels import BrokenImage, as_shown
from semipose.inference.boxes import check_boxes
from semipose.inference.predict import SURE, Predictions, predict_crops
from semipose.models.network import evaluating
from semipose.models.weight_file import load_network, skeleton_of
from semipose.pose.drawing import draw_heatmap, draw_pose
from semipose.pose.geometry import invert, transform, warp
from semipose.utils.errors import InputError

Picture = Image.Image | NDArray[np.uint8]
Person = tuple[NDArray[np.uint8], Tensor, Tensor]
"""A person cut out: crop, uint8 [S, S, 3]; matrices [2, 3] from
image px to crop px, and from crop px to input px.
"""


class Poser:
    """A trained network that predicts as it was evaluated.

    Its metadata says how people are cut out and heatmaps decoded.
    """

    def __init__(
        self, net: nn.Module, metadata: Mapping[str, Any], flip_test: bool | None = None, batch_size: int = 32, decode: str | None = None
    ) -> None:
        """Make a Poser from what `load_network` returns.

        Args:
            net: The network.
            metadata: That of its weight file.
            flip_test: Average the heatmaps of an image and its mirror image; None: if the
                evaluation did.
            batch_size: People in one forward pass.
            decode: "quarter" or "dark"; None: as the evaluation did.

        Raises:
            InputError: The metadata lacks a field.
        """
        try:
            self.size, self.sigma = (int(metadata["model"]["height"]), int(metadata["model"]["width"])), float(metadata["model"]["sigma"])
            self.padding, self.decode = float(metadata["padding"]), decode or str(metadata["decode"])
            self.skeleton = skeleton_of(metadata)
            # The metadata of a network that was not evaluated has no crops: they get the pixels of its input, in a square.
            crop = metadata.get("crop") or {"size": max(self.size), "extent": 1.0, "quality": None, "clamped": False}
            self.side, self.extent, self.quality = int(crop["size"]), float(crop["extent"]), crop["quality"]
            self.clamped = bool(crop["clamped"])
        except KeyError as error:
            raise InputError(
                f"the metadata of the weight file has no {error}; use a weights.safetensors that the stage `evaluate` wrote"
            ) from None
        self.net, self.batch_size = net, batch_size
        self.flip = self.skeleton.flip if (metadata.get("flip_test", False) if flip_test is None else flip_test) else None
        self.device = next((parameter.device for parameter in net.parameters()), torch.device("cpu"))

    @classmethod
    def load(
        cls,
        weights: Path | str,
        device: str | None = None,
        flip_test: bool | None = None,
        batch_size: int = 32,
        decode: str | None = None,
    ) -> "Poser":
        """Load a weights.safetensors.

        Args:
            weights: The file.
            device: Default: the GPU if there is one.
            flip_test: As in the constructor.
            batch_size: As in the constructor.
            decode: As in the constructor.

        Raises:
            InputError: The file is missing, damaged or not semipose's.
        """
        net, metadata = load_network(Path(weights))
        return cls(net.to(device or ("cuda" if torch.cuda.is_available() else "cpu")), metadata, flip_test, batch_size, decode)

    def predict(self, image: Picture, boxes: NDArray[np.floating] | None = None) -> Predictions:
        """Find the poses of the people in an image.

        Each box is processed like a training crop, by the same functions.
        It is grown by the metadata's padding to the network's aspect, has the mean colour outside
        the image, and is stored as the pack's crops are.

        Args:
            image: A Pillow image, or RGB uint8 [H, W, 3].
            boxes: [N, 4] (xywh px); None: one person fills the image.

        Returns:
            Poses in px of the image.

        Raises:
            InputError: The image or a box is invalid; the message has the number of the box.
        """
        return next(self.predict_all([(image, boxes)]))

    def predict_all(self, images: Iterable[tuple[Picture, NDArray[np.floating] | None]]) -> Iterator[Predictions]:
        """Find the poses in many images, with people of several images in one pass.

        Args:
            images: For each image what `predict` takes: the image, and its boxes or None.

        Yields:
            What `predict` gives for each image, in order, a batch later.

        Raises:
            InputError: As `predict`.
        """
        counts: deque[int] = deque()  # people of each image whose poses have not been returned
        crops: list[Person] = []  # not predicted yet
        found: deque[tuple[NDArray[np.float32], NDArray[np.float32]]] = deque()  # predicted, but not returned yet

        def answers(least: int) -> Iterator[Predictions]:
            """Yield the poses of images whose people are all predicted;
            run passes while at least `least` crops wait.
            """
            while len(crops) >= least:
                found.extend(self._predict(crops[: self.batch_size]))
                del crops[: self.batch_size]
            while counts and len(found) >= counts[0]:
                people, joints = [found.popleft() for _ in range(counts.popleft())], len(self.skeleton.joints)
                points = np.array([points for points, _ in people], np.float32).reshape(-1, joints, 2)
                yield Predictions(points, np.array([sure for _, sure in people], np.float32).reshape(-1, joints))

        for image, boxes in images:
            cut = list(self.cut(image, boxes))
            counts.append(len(cut))
            crops += cut
            yield from answers(self.batch_size)
        yield from answers(1)

    def _predict(self, people: list[Person]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Points [K, 2] in image px and confidence [K] of people cut out by `cut`, in one pass."""
        pixels, to_crop, to_view = zip(*people, strict=True)
        crops = Crops(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2), torch.stack(to_view)).to(self.device)
        points, confidence = predict_crops(self.net, crops, self.size, self.flip, self.decode, self.sigma)
        in_image = transform(invert(torch.stack(to_crop)), points.cpu())
        return zip(in_image.numpy(), confidence.float().cpu().numpy(), strict=True)

    def heatmaps(self, image: Picture, boxes: NDArray[np.floating] | None = None) -> list[Image.Image]:
        """Render the network's view of each person, with its heatmaps over it.

        Args:
            image: As for `predict`.
            boxes: As for `predict`.

        Returns:
            A picture of each person, of the size of the network's input.

        Raises:
            InputError: As `predict`.
        """
        found = []
        for crop, _, to_view in self.cut(image, boxes):
            pixels = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].to(self.device)
            with evaluating(self.net), torch.inference_mode():
                view = warp(pixels, to_view[None].to(self.device), self.size, normalise)
                (heatmaps,) = self.net(view).float().cpu().numpy()
            found.append(draw_heatmap(denormalise(view)[0].permute(1, 2, 0).cpu().numpy(), heatmaps))
        return found

    def draw(self, image: Picture, poses: Predictions) -> Image.Image:
        """Render poses on an image, without joints below a confidence of 0.2.

        Args:
            image: As for `predict`.
            poses: In px of the image.

        Raises:
            InputError: The image is invalid.
        """
        return draw_pose(_picture(image), poses.points, poses.confidence, self.skeleton, SURE)

    def cut(self, image: Picture, boxes: NDArray[np.floating] | None) -> Iterator[Person]:
        """Cut out each person with the functions that write and read crop packs.

        Args:
            image: As for `predict`.
            boxes: As for `predict`.

        Yields:
            Crop and matrices of each person, in the order of the boxes.

        Raises:
            InputError: As `predict`.
        """
        picture = _picture(image)
        whole = np.array([[0, 0, *picture.size]], np.float32)
        chosen = whole if boxes is None else np.asarray(boxes, np.float32).reshape(-1, 4)
        check_boxes(chosen, picture.size)
        if not len(chosen):
            return
        matrices = pack_matrices(chosen, self.side, self.padding, self.extent, self.size[1] / self.size[0])
        views = view_matrices(matrices.numpy(), chosen, self.side, self.padding, self.extent, self.size)
        for to_crop, to_view in zip(matrices, views, strict=True):
            crop = cut_out(picture, to_crop.numpy(), self.side)
            yield through_jpeg(crop, self.quality) if self.quality else crop, to_crop, to_view


def _picture(image: Picture) -> Image.Image:
    """The image as RGB, upright: points are in px of the image as viewers show it."""
    if isinstance(image, Image.Image):
        try:
            return as_shown(image)
        except BrokenImage as error:
            raise InputError(f"image: {error}") from None
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise InputError(f"image: shape {image.shape} of {image.dtype}, must be (height, width, 3) of uint8, RGB")
    return Image.fromarray(image)
