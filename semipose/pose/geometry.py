"""Batched similarity transforms in pixel coordinates, for images, points and heatmaps.

A matrix is a float32 tensor [..., 2, 3] that maps source pixels to target pixels, p' = L p + t.
One convention holds everywhere: an integer coordinate is the centre of a pixel.
The centre of an image of W pixels is therefore (W - 1) / 2, and heatmap cell u of stride s lies at
pixel s u + (s - 1) / 2.
A map and its image stay in register under any matrix, and mirroring needs no shift.
(The released code places cell u at pixel s u and rotates in normalised coordinates.
That shifts by up to 0.7 cells, and shears if the input is not square.)

The small products are written out term by term: matmul would lose digits under autocast and TF32.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from semipose.utils.constants import fixed, steps


def identity(n: int, device: torch.device | str = "cpu") -> Tensor:
    """[n, 2, 3] matrices that move nothing."""
    return torch.eye(2, 3, device=device).repeat(n, 1, 1)


def compose(second: Tensor, first: Tensor) -> Tensor:
    """The matrix [..., 2, 3] that applies `first`, then `second`; leading dimensions broadcast."""
    composed = (second[..., :, :2, None] * first[..., None, :, :]).sum(-2)
    composed[..., 2].add_(second[..., 2])
    return composed


# Of rows (a, b, x) and (c, d, y), with 0 and 1 appended: the inverse's numerators are p q - r s, the last is the determinant.
A, B, X, C, D, Y, ZERO, ONE = range(8)
FACTORS = (
    (D, ZERO, B, ZERO, A, C, A),  # p
    (ZERO, B, D, C, ZERO, A, B),  # r
    (ONE, ZERO, Y, ZERO, ONE, X, D),  # q
    (ZERO, ONE, X, ONE, ZERO, Y, C),  # s
)


def invert(matrices: Tensor) -> Tensor:
    """The inverse of [..., 2, 3] matrices in closed form: only five kernels to launch on a GPU."""
    flat = matrices.flatten(-2)
    known = torch.cat([flat, fixed((0.0, 1.0), flat.device).expand(*flat.shape[:-1], 2)], dim=-1)
    factors = known[..., fixed(FACTORS, flat.device, torch.int64)]  # [..., 4, 7]
    products = factors[..., :2, :] * factors[..., 2:, :]
    numerators = products[..., 0, :] - products[..., 1, :]
    return (numerators[..., :6] / numerators[..., 6:]).unflatten(-1, (2, 3))


def transform(matrices: Tensor, points: Tensor) -> Tensor:
    """Map points [..., K, 2] (x, y in source px) by matrices [..., 2, 3]; returns [..., K, 2] in target px."""
    linear, shift = matrices[..., None, :, :2], matrices[..., None, :, 2]
    return (linear * points[..., None, :]).sum(-1) + shift


def similarity(angle_deg: Tensor, scale: Tensor, flip: Tensor | None, centre: tuple[float, float]) -> Tensor:
    """Mirror left-right about `centre` if `flip`, then rotate and scale about it.

    Args:
        angle_deg: [B]; a positive angle turns the x axis
            towards the y axis, clockwise on the screen.
        scale: [B]; content grows with it.
        flip: [B] bool; None: no flip.
        centre: (x, y) in px.

    Returns:
        Matrices [B, 2, 3].
    """
    angle, device, (x, y) = torch.deg2rad(angle_deg), scale.device, centre
    cos, sin = torch.cos(angle), torch.sin(angle)
    signs = fixed((1.0, -1.0, 1.0, 1.0), device)
    if flip is not None:
        signs = torch.where(flip[..., None], fixed((-1.0, -1.0, -1.0, 1.0), device), signs)
    linear = (torch.stack([cos, sin, sin, cos], dim=-1) * (scale[..., None] * signs)).unflatten(-1, (2, 2))
    # The centre stays in place: p' = L p + (centre - L centre), one column of L at a time.
    columns = linear[..., None] * fixed(((1.0, 0.0, -x), (0.0, 1.0, -y)), device)
    return fixed(((0.0, 0.0, x), (0.0, 0.0, y)), device) + columns[..., 0, :] + columns[..., 1, :]


def from_box(boxes: Tensor, size: tuple[int, int], padding: float) -> Tensor:
    """Image px -> crop px: each box, grown to the crop's aspect and by `padding`, fills the crop.

    The box grows about its centre on its shorter side, then by `padding`, as in Simple Baselines
    (Xiao et al. 2018; 1.25).

    Args:
        boxes: [N, 4], x, y, width, height in px; a box covers the pixels x ... x + width - 1, so
            its centre is x + (width - 1) / 2.
        size: (height, width) of the crop.
        padding: Factor by which the box grows.

    Returns:
        Matrices [N, 2, 3].
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
    """Input px to heatmap coordinates, the inverse of `cells_to_pixels`."""
    return (points - (stride - 1) / 2) / stride


def to_heatmap(matrices: Tensor, stride: int) -> Tensor:
    """Convert matrices [..., 2, 3] in input px to the same
    transform in heatmap cells of `stride` px.
    """
    linear, origin = matrices[..., :2], (stride - 1) / 2
    shift = pixels_to_cells((linear * origin).sum(-1) + matrices[..., 2], stride)
    return torch.cat([linear, shift[..., None]], dim=-1)


CACHE = 2**21
"""Bytes of float images that a CPU thread works on at a time, about a second-level cache."""


def warp(images: Tensor, matrices: Tensor, size: tuple[int, int], prepare: Callable[[Tensor], Tensor] = Tensor.float) -> Tensor:
    """Resample `prepare(images)` by matrices, bilinearly, with zeros outside.

    It computes in float32, whatever the autocast: a coordinate in bfloat16 is wrong by a pixel.
    A CPU processes a few images at a time, so that intermediate results stay in its cache.
    At 320 px this is twice as fast, with the same numbers.

    Args:
        images: [B, C, h, w].
        matrices: [B, 2, 3], source px -> target px; [1, 2, 3] serves the whole batch.
        size: (H, W).
        prepare: Makes the float images that are resampled; called on a few images at a time.

    Returns:
        float32 [B, C, H, W].
    """
    (h, w), (height, width) = images.shape[-2:], size
    back = invert(matrices.float()).expand(len(images), 2, 3)
    products = back[..., :2, None] * steps(max(size), images.device)
    across = products[:, :, 0, None, :width]  # [B, 2, 1, W]
    down = (products[:, :, 1, :height] + back[..., 2:])[..., None]  # [B, 2, H, 1]
    # align_corners=False: pixel x of a source of w px has the normalised coordinate (2 x + 1) / w - 1
    factor, offset = (fixed(two, images.device)[:, None, None] for two in ((2 / w, 2 / h), (1 / w - 1, 1 / h - 1)))

    def sample(some: slice) -> Tensor:
        places = across[some] + down[some]  # [b, 2, H, W]: x and y apart in memory, which is written faster
        grid = places.mul_(factor).add_(offset).permute(0, 2, 3, 1)
        return F.grid_sample(prepare(images[some]), grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    at_once = max(1, CACHE // (4 * math.prod(images.shape[1:]))) * torch.get_num_threads()
    if images.device.type != "cpu" or at_once >= len(images):
        return sample(slice(None))
    warped = torch.empty(len(images), images.shape[1], height, width)
    for start in range(0, len(images), at_once):
        warped[start : start + at_once] = sample(slice(start, start + at_once))
    return warped
