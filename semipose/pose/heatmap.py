"""Heatmaps: encoding points, decoding points, mirroring, and the loss.

A heatmap [B, K, h, w] has one map per joint; its cell u lies at input
pixel stride u + (stride - 1) / 2 (geometry.py).
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semipose.pose.geometry import cells_to_pixels, pixels_to_cells
from semipose.utils.constants import fixed, steps

STRIDE = 4  # input pixels per heatmap cell

REACH = 3.0  # a point further than this many sigmas from every heatmap cell has no loss
FAR = 1e6  # heatmap cells; position of invisible points, so that their map is 0


def encode(points: Tensor, visible: Tensor, size: tuple[int, int], stride: int, sigma: float) -> tuple[Tensor, Tensor]:
    """Make Gaussian targets of peak 1 at exact, unrounded positions.

    This is the unbiased encoding of DARK (Zhang et al. 2020).

    Args:
        points: [B, K, 2] in input px.
        visible: [B, K]; 0: not labelled, and the point may be anything.
        size: (h, w) of the heatmap in cells.
        stride: Input px per cell.
        sigma: Standard deviation in heatmap cells.

    Returns:
        Heatmaps [B, K, h, w], not truncated, and the weight [B, K] of each map in the loss.
        The weight is `visible`, but 0 if no cell is within 3 sigma of the point on either axis.
    """
    (height, width), device, reach = size, points.device, REACH * sigma
    weight = visible.to(torch.float32)
    cells = pixels_to_cells(points.float(), stride).masked_fill((weight <= 0)[..., None], -FAR)
    bumps = torch.exp((steps(max(size), device) - cells[..., None]).square() / (-2 * sigma**2))  # the Gaussian is separable
    near = cells.clamp(fixed((-reach, -reach), device), fixed((width - 1 + reach, height - 1 + reach), device))
    inside = (near == cells).all(dim=-1)
    return bumps[..., 1, :height, None] * bumps[..., 0, None, :width], weight * inside


def peak(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Position (x, y) [B, K, 2] (float cells) of each map's first
    maximum, row by row, and its value [B, K].
    """
    values, y = heatmaps.amax(dim=-1).max(dim=-1)  # an argmax over a whole map would take five times as long
    row = heatmaps.gather(-2, y[..., None, None].expand(*y.shape, 1, heatmaps.shape[-1]))
    return torch.stack([row.argmax(dim=-1)[..., 0], y], dim=-1).float(), values


def decode(
    heatmaps: Tensor, stride: int, how: str = "quarter", sigma: float = 2.0, peaks: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Decode points from heatmaps.

    If a maximum is 0 or less, the point is still the argmax.
    (The released code puts it at (0, 0) in evaluation, but not in training.)

    Args:
        heatmaps: [B, K, h, w].
        stride: Input px per cell.
        how: "quarter" (a quarter cell towards the higher neighbour, Simple Baselines) or "dark"
            (Zhang et al. 2020).
        sigma: For "dark": standard deviation in cells of the Gaussian that smooths the map first.
        peaks: What `peak` returns, if it is known.

    Returns:
        Points [B, K, 2] in input px and their confidence [B, K], the value of the maximum.

    Raises:
        ValueError: `how` is something else.
    """
    if how not in ("quarter", "dark"):
        raise ValueError(f"decode: how = {how!r}, must be 'quarter' or 'dark'")
    heatmaps = heatmaps.float()
    cells, confidence = peaks or peak(heatmaps)
    offset = quarter_offset(heatmaps, cells) if how == "quarter" else dark_offset(heatmaps, cells, confidence, sigma)
    return cells_to_pixels(cells + offset, stride), confidence


def quarter_offset(heatmaps: Tensor, cells: Tensor) -> Tensor:
    """Compute the offset of a quarter cell towards the higher neighbour, per axis.

    Args:
        heatmaps: [B, K, h, w].
        cells: Their maxima, [B, K, 2] (x, y).

    Returns:
        [B, K, 2] cells; 0 for peaks at the border. The border is that of the released code's
        evaluation: only 1 < x < w - 1 and 1 < y < h - 1 get an offset.
    """
    around = _around(heatmaps, cells, ((1, 0), (0, 1), (-1, 0), (0, -1)))
    return 0.25 * torch.sign(around[..., :2] - around[..., 2:]) * _inside(heatmaps, cells, low=1, high=1)[..., None]


def dark_offset(heatmaps: Tensor, cells: Tensor, confidence: Tensor, sigma: float) -> Tensor:
    """Compute the Newton step from the argmax on the log of the smoothed map (DARK, eqs. 6-9).

    Args:
        heatmaps: [B, K, h, w].
        cells: Their maxima, [B, K, 2] (x, y).
        confidence: The values there, [B, K].
        sigma: Standard deviation in cells of the Gaussian that smooths.

    Returns:
        [B, K, 2] cells, at most two, the reach of the stencil. 0 for peaks within two cells of the
        border, where the stencil does not fit, and where the log map is not concave.
    """
    smooth = _blur(heatmaps, sigma)
    scale = confidence.clamp(min=0) / smooth.amax(dim=(-2, -1)).clamp(min=1e-10)
    smooth = smooth * scale[..., None, None]
    around = _around(smooth.clamp(min=1e-10).log(), cells, STENCIL)
    centre, forth, back, further, beyond, (down_right, down_left, up_right, up_left) = (
        around[..., 0, None], around[..., 1:3], around[..., 3:5], around[..., 5:7], around[..., 7:9], around[..., 9:].unbind(-1)
    )  # fmt: skip
    first = (forth - back) / 2  # of x, of y
    second = (further - 2 * centre + beyond) / 4
    dxy = (down_right - down_left - up_right + up_left) / 4
    determinant = second[..., 0] * second[..., 1] - dxy.square()
    use = (determinant > 1e-12) & (second[..., 0] < 0) & _inside(heatmaps, cells, low=1, high=2)
    step = dxy[..., None] * first.flip(-1) - second.flip(-1) * first
    step = step / torch.where(use, determinant, 1.0)[..., None]
    return torch.where(use[..., None], step, 0.0).clamp(-2, 2)


STENCIL = ((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (2, 0), (0, 2), (-2, 0), (0, -2), (1, 1), (-1, 1), (1, -1), (-1, -1))
"""Cells (x, y) around a peak that its first and second derivatives need."""


def flip_back(heatmaps: Tensor, permutation: Sequence[int] | Tensor) -> Tensor:
    """Bring heatmaps of a mirrored input back: mirror them and swap joints.

    There is no shift, because maps are in register.

    Args:
        heatmaps: [B, K, h, w].
        permutation: The skeleton's `flip`, [K].
    """
    index = torch.as_tensor(permutation, device=heatmaps.device)
    return heatmaps.flip(-1)[:, index]


def flip_average(heatmaps: Tensor, mirrored_heatmaps: Tensor, permutation: Sequence[int] | Tensor) -> Tensor:
    """Compute the mean of the heatmaps of an input and of its mirror image (flip test).

    Args:
        heatmaps: Of the input, [B, K, h, w].
        mirrored_heatmaps: Of its mirror image.
        permutation: The skeleton's `flip`, [K].
    """
    return (heatmaps + flip_back(mirrored_heatmaps, permutation)) / 2


def heatmap_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """The heatmap loss, a scalar: (1/K) sum_j 1/2 mean_{b, cells} (w_bj (P_bj - T_bj))^2.

    It is the loss of the released code, divided by the K joints of the data set instead of 24.

    Args:
        predicted: P [B, K, h, w].
        target: T [B, K, h, w].
        weight: w [B, K].
    """
    return 0.5 * (weight[..., None, None] * (predicted.float() - target.float())).square().mean()


def _around(maps: Tensor, cells: Tensor, beside: tuple[tuple[int, int], ...]) -> Tensor:
    """The values [B, K, N] at N offsets (dx, dy) from the cells [B,
    K, 2]; any value of the map beyond its edge.
    """
    height, width = maps.shape[-2:]
    middle = torch.add(cells[..., 0], cells[..., 1], alpha=width)
    index = (middle[..., None] + fixed(tuple(float(dy * width + dx) for dx, dy in beside), maps.device)).clamp(0, height * width - 1)
    return maps.flatten(2).gather(2, index.long())


def _inside(maps: Tensor, cells: Tensor, low: int, high: int) -> Tensor:
    """Whether low < x < w - high, and y likewise, [B, K]."""
    height, width = maps.shape[-2:]
    middle, half = (fixed(tuple((extent - high + sign * low) / 2 for extent in (width, height)), maps.device) for sign in (1, -1))
    return ((cells - middle).abs() < half).all(dim=-1)


def _blur(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian smoothing with zeros outside; the kernel size is
    11 for a sigma of 2, 17 for 3, as in DARK.

    Shifted sums instead of a convolution, which autocast and TF32 would round.
    """
    radius = max(1, round((sigma - 0.8) / 0.3 + 1))
    taps = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(-radius, radius + 1)]
    taps = [tap / sum(taps) for tap in taps]
    for dim in (-1, -2):
        extent = maps.shape[dim]
        padded = F.pad(maps, (radius, radius, 0, 0) if dim == -1 else (0, 0, radius, radius))
        maps = taps[0] * padded.narrow(dim, 0, extent)
        for i, tap in enumerate(taps[1:], start=1):
            maps += tap * padded.narrow(dim, i, extent)
    return maps
