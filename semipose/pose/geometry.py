"""Batched similarity transforms in pixel coordinates, for images, points and heatmaps.

A matrix is a float32 tensor [..., 2, 3] that maps source pixels to target pixels, p' = L p + t. One convention holds
everywhere: an integer coordinate is the centre of a pixel, so the centre of an image of W pixels is (W - 1) / 2, and
heatmap cell u of stride s lies at pixel s u + (s - 1) / 2. With it a map and its image stay in register under any
matrix, and mirroring needs no shift. (The peers place cell u at pixel s u and rotate in normalised coordinates, which
shifts by up to 0.7 cell and shears wherever the input is not square.)

The small products are written out term by term: matmul would lose digits under autocast and TF32.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def identity(n: int, device: torch.device | str = "cpu") -> Tensor:
    """[n, 2, 3] matrices that move nothing."""
    return torch.eye(2, 3, device=device).repeat(n, 1, 1)


def compose(second: Tensor, first: Tensor) -> Tensor:
    """The matrix [..., 2, 3] that applies ``first``, then ``second``; leading dimensions broadcast."""
    linear = (second[..., :, :2, None] * first[..., None, :, :2]).sum(-2)
    return torch.cat([linear, transform(second, first[..., None, :, 2]).mT], dim=-1)


def invert(matrices: Tensor) -> Tensor:
    """The inverse of [..., 2, 3] matrices, in closed form."""
    (a, b, x), (c, d, y) = (row.unbind(-1) for row in matrices.unbind(-2))
    determinant = a * d - b * c
    top = torch.stack([d, -b, b * y - d * x], dim=-1)
    bottom = torch.stack([-c, a, c * x - a * y], dim=-1)
    return torch.stack([top, bottom], dim=-2) / determinant[..., None, None]


def transform(matrices: Tensor, points: Tensor) -> Tensor:
    """Map points [..., K, 2] (x, y in source px) by matrices [..., 2, 3]; returns [..., K, 2] in target px."""
    linear, shift = matrices[..., None, :, :2], matrices[..., None, :, 2]
    return (linear * points[..., None, :]).sum(-1) + shift


def similarity(angle_deg: Tensor, scale: Tensor, flip: Tensor, centre: tuple[float, float]) -> Tensor:
    """Mirror left-right about ``centre`` where ``flip``, then rotate and scale about it.

    ``angle_deg``, ``scale`` (content grows with it) and ``flip`` (bool) are [B], ``centre`` is (x, y) in px; a positive
    angle turns the x axis towards the y axis, clockwise on the screen. Returns [B, 2, 3].
    """
    angle = torch.deg2rad(angle_deg)
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    mirror = 1.0 - 2.0 * flip.to(scale.dtype)
    linear = torch.stack([cos * mirror, -sin, sin * mirror, cos], dim=-1).unflatten(-1, (2, 2))
    x, y = centre
    shift = torch.stack([x - linear[..., 0, 0] * x - linear[..., 0, 1] * y, y - linear[..., 1, 0] * x - linear[..., 1, 1] * y], dim=-1)
    return torch.cat([linear, shift[..., None]], dim=-1)


def from_box(boxes: Tensor, size: tuple[int, int], padding: float) -> Tensor:
    """Image px -> crop px [N, 2, 3]: each box, grown to the crop's aspect and by ``padding``, fills the crop.

    ``boxes`` [N, 4] are x, y, width, height in px: a box covers the pixels x ... x + width - 1, so its centre is
    x + (width - 1) / 2. ``size`` is the (height, width) of the crop. Growing is about the centre, by the shorter side,
    as in methods of the field (Simple Baselines, Xiao et al. 2018; padding 1.25).
    """
    boxes = boxes.to(torch.float32)
    height, width = size
    grown = padding * torch.maximum(boxes[:, 2], boxes[:, 3] * (width / height))
    scale = width / grown
    centre = boxes[:, :2] + (boxes[:, 2:] - 1) / 2
    target = boxes.new_tensor([(width - 1) / 2, (height - 1) / 2])
    linear = scale[:, None, None] * torch.eye(2, device=boxes.device)
    return torch.cat([linear, (target - scale[:, None] * centre)[..., None]], dim=-1)


def cells_to_pixels(cells: Tensor, stride: int) -> Tensor:
    """Heatmap coordinates to input px: cell u lies at pixel stride u + (stride - 1) / 2."""
    return cells * stride + (stride - 1) / 2


def pixels_to_cells(points: Tensor, stride: int) -> Tensor:
    """Input px to heatmap coordinates, the inverse of ``cells_to_pixels``."""
    return (points - (stride - 1) / 2) / stride


def to_heatmap(matrices: Tensor, stride: int) -> Tensor:
    """The transform that ``matrices`` [..., 2, 3] do in input px, in heatmap cells of ``stride`` px."""
    origin = torch.full_like(matrices[..., None, :, 2], (stride - 1) / 2)
    shift = pixels_to_cells(transform(matrices, origin), stride)
    return torch.cat([matrices[..., :2], shift.mT], dim=-1)


CACHE = 2**21
"""Bytes of float images that a CPU thread works on at a time: a second-level cache."""


def warp(images: Tensor, matrices: Tensor, size: tuple[int, int], prepare: Callable[[Tensor], Tensor] = Tensor.float) -> Tensor:
    """Resample ``prepare(images)`` [B, C, h, w] by ``matrices`` [B, 2, 3] (source px -> target px) to ``size`` (H, W).

    Bilinear, zeros outside; returns float32 [B, C, H, W]. Always in float32, whatever the autocast: a coordinate in
    bfloat16 is wrong by a pixel. One matrix [1, 2, 3] serves a whole batch. A CPU does a few images at a time, so that
    what is made on the way stays in its cache (at 320 px twice as fast); the numbers are the same.
    """
    (h, w), (height, width) = images.shape[-2:], size
    back = invert(matrices.float()).expand(len(images), 2, 3)
    u = torch.arange(width, device=images.device, dtype=torch.float32)
    v = torch.arange(height, device=images.device, dtype=torch.float32)[:, None]
    across, down = back[:, :, 0, None, None] * u, back[:, :, 1, None, None] * v + back[:, :, 2, None, None]  # [B, 2, 1, W], [B, 2, H, 1]

    def sample(some: slice) -> Tensor:
        places = across[some] + down[some]  # [b, 2, H, W]: x and y apart in memory, which is written faster
        for k, extent in enumerate((w, h)):
            # align_corners=False: pixel x of a source of w px has the normalised coordinate (2 x + 1) / w - 1
            places[:, k].mul_(2 / extent).add_(1 / extent - 1)
        grid = places.permute(0, 2, 3, 1)
        return F.grid_sample(prepare(images[some]), grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    at_once = max(1, CACHE // (4 * math.prod(images.shape[1:]))) * torch.get_num_threads()
    if images.device.type != "cpu" or at_once >= len(images):
        return sample(slice(None))
    warped = torch.empty(len(images), images.shape[1], height, width)
    for start in range(0, len(images), at_once):
        warped[start : start + at_once] = sample(slice(start, start + at_once))
    return warped
