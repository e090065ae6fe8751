"""2 x 3 matrices of crops: from a photo to a square crop around a box, and from a crop to the view that a network sees."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semipose.pose.geometry import from_box, identity


def crop_matrices(boxes: NDArray[np.float32], size: int, padding: float, extent: float, aspect: float) -> Tensor:
    """Compute the square crops around boxes.

    Each shows `extent` times the longer side of the box, which is grown by `padding` to `aspect`.

    Args:
        boxes: xywh px of the image, [N, 4].
        size: Side of the crops in px.
        padding: Factor by which a box grows.
        extent: Side of the crop, in units of the longer side of the grown box.
        aspect: Width / height of the grown box, which is that of the network's input.

    Returns:
        Matrices [N, 2, 3], image px -> crop px.
    """
    box = torch.from_numpy(np.asarray(boxes, np.float32))
    grown = padding * torch.maximum(box[:, 2], box[:, 3] * aspect)  # the width; the height is grown / aspect
    side = (extent * grown * max(1.0, 1 / aspect))[:, None]
    corner = box[:, :2] + (box[:, 2:] - side) / 2
    return from_box(torch.cat([corner, side, side], dim=1), (size, size), padding=1.0)


def pack_matrices(boxes: NDArray[np.float32], size: int, padding: float, extent: float, aspect: float) -> Tensor:
    """Compute the crops of a pack: those of `crop_matrices`, without magnification.

    Instead of magnifying, a crop keeps the image's own pixels and shows more around the box.
    The box is then up to half a pixel off the middle.
    Arguments and result are those of `crop_matrices`.
    """
    matrices = crop_matrices(boxes, size, padding, extent, aspect)
    box = torch.from_numpy(np.asarray(boxes, np.float32))
    kept = identity(len(box))
    kept[:, :, 2] = ((size - 1) / 2 - (box[:, :2] + (box[:, 2:] - 1) / 2)).round()
    return torch.where(matrices[:, :1, :1] < 1, matrices, kept)


def base_matrix(crop_size: int, extent: float, size: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """Compute the view of crops that have one scale, whatever their box.

    Such a crop shows `extent` times the longer side of the padded box about its middle.
    The padded box fills the view, which has its aspect.

    Args:
        crop_size: Side of the crops in px.
        extent: As for `crop_matrices`.
        size: (h, w) of the view in px.
        device: Where the matrix is made.

    Returns:
        Matrix [1, 2, 3], crop px -> view px.
    """
    height, width = size
    scale = max(size) * extent / crop_size
    middle = (crop_size - 1) / 2
    rows = [[scale, 0.0, (width - 1) / 2 - scale * middle], [0.0, scale, (height - 1) / 2 - scale * middle]]
    return torch.tensor([rows], device=device)


def view_matrices(
    matrices: NDArray[np.float32], boxes: NDArray[np.float32], crop_size: int, padding: float, extent: float, size: tuple[int, int]
) -> Tensor:
    """Compute the views of the crops that `pack_matrices` made around boxes.

    The padded box fills the view, which has its aspect.

    Args:
        matrices: What `pack_matrices` returned, [N, 2, 3].
        boxes: xywh px of the image, [N, 4].
        crop_size: Side of the crops in px.
        padding: As for `crop_matrices`.
        extent: As for `crop_matrices`.
        size: (h, w) of the views in px.

    Returns:
        Matrices [N, 2, 3], crop px -> view px.
    """
    kept = boxes + np.pad(matrices[:, :, 2], ((0, 0), (0, 2)))  # the boxes in px of crops with the image's own pixels
    own, same = from_box(torch.from_numpy(kept), size, padding), base_matrix(crop_size, extent, size)
    return torch.where(torch.from_numpy(matrices[:, :1, :1] == 1), own, same)
