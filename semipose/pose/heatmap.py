"""Heatmaps: drawing them from points, reading points from them, mirroring them, and their loss.

A heatmap [B, K, h, w] has one map per joint; its cell u lies at input pixel stride u + (stride - 1) / 2 (geometry.py).
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semipose.pose.geometry import cells_to_pixels, pixels_to_cells
from semipose.utils.constants import fixed, steps

STRIDE = 4  # input pixels per heatmap cell

REACH = 3.0  # a point further than so many sigmas from every cell trains nothing
FAR = 1e6  # cells; where points that are not visible are put, so that their map is 0


def encode(points: Tensor, visible: Tensor, size: tuple[int, int], stride: int, sigma: float) -> tuple[Tensor, Tensor]:
    """Gaussian targets of peak 1 at the exact, unrounded positions (unbiased encoding of DARK, Zhang et al. 2020).

    ``points`` [B, K, 2] in input px, ``visible`` [B, K] (0: not labelled; the point may be anything), ``size`` the
    (h, w) of the heatmap in cells, ``sigma`` in cells. Returns heatmaps [B, K, h, w], truncated nowhere, and the weight
    [B, K] of each map in the loss: ``visible``, but 0 where no cell lies within 3 sigma of the point on either axis.
    """
    (height, width), device, reach = size, points.device, REACH * sigma
    weight = visible.to(torch.float32)
    cells = pixels_to_cells(points.float(), stride).masked_fill((weight <= 0)[..., None], -FAR)
    bumps = torch.exp((steps(max(size), device) - cells[..., None]).square() / (-2 * sigma**2))  # the Gaussian is separable
    near = cells.clamp(fixed((-reach, -reach), device), fixed((width - 1 + reach, height - 1 + reach), device))
    inside = (near == cells).all(dim=-1)
    return bumps[..., 1, :height, None] * bumps[..., 0, None, :width], weight * inside


def peak(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """The cell (x, y) [B, K, 2] (float) of each map's maximum, the first one row by row, and its value [B, K]."""
    values, y = heatmaps.amax(dim=-1).max(dim=-1)  # a search for the place along a whole map would take five times as long
    row = heatmaps.gather(-2, y[..., None, None].expand(*y.shape, 1, heatmaps.shape[-1]))
    return torch.stack([row.argmax(dim=-1)[..., 0], y], dim=-1).float(), values


def decode(
    heatmaps: Tensor, stride: int, how: str = "quarter", sigma: float = 2.0, peaks: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Points [B, K, 2] in input px and their confidence [B, K], the value of the maximum.

    ``how`` is "quarter" (a quarter cell towards the larger neighbour, Simple Baselines) or "dark" (Zhang et al. 2020),
    which smooths with a Gaussian of ``sigma`` cells first. ``peaks`` are those of ``peak``, if they are known. Where a
    maximum is 0 or less, the confidence says so and the point is still the argmax (the peers put it at (0, 0) in
    evaluation but not in training). Raises ValueError for another ``how``.
    """
    if how not in ("quarter", "dark"):
        raise ValueError(f"decode: how = {how!r}, must be 'quarter' or 'dark'")
    heatmaps = heatmaps.float()
    cells, confidence = peaks or peak(heatmaps)
    offset = quarter_offset(heatmaps, cells) if how == "quarter" else dark_offset(heatmaps, cells, confidence, sigma)
    return cells_to_pixels(cells + offset, stride), confidence


def quarter_offset(heatmaps: Tensor, cells: Tensor) -> Tensor:
    """A quarter cell towards the larger neighbour, per axis [B, K, 2]; none for peaks at the border.

    Border: the rule of the peers' evaluation, 1 < x < w - 1 and 1 < y < h - 1.
    """
    around = _around(heatmaps, cells, ((1, 0), (0, 1), (-1, 0), (0, -1)))
    return 0.25 * torch.sign(around[..., :2] - around[..., 2:]) * _inside(heatmaps, cells, low=1, high=1)[..., None]


def dark_offset(heatmaps: Tensor, cells: Tensor, confidence: Tensor, sigma: float) -> Tensor:
    """The Newton step [B, K, 2] (cells) from the argmax on the log of the smoothed map (DARK, eqs. 6-9).

    ``confidence`` [B, K] is the maximum. Zero for peaks within two cells of the border, where the stencil does not fit,
    and where the log map is not concave; a step is at most two cells, the reach of the stencil.
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
"""Cells (x, y) beside a peak that its first and second derivatives need."""


def flip_back(heatmaps: Tensor, permutation: Sequence[int] | Tensor) -> Tensor:
    """Heatmaps of a mirrored input, brought back: mirrored, joints swapped. No shift: the maps are in register."""
    index = torch.as_tensor(permutation, device=heatmaps.device)
    return heatmaps.flip(-1)[:, index]


def flip_average(heatmaps: Tensor, mirrored_heatmaps: Tensor, permutation: Sequence[int] | Tensor) -> Tensor:
    """The mean of the heatmaps of an input and of its mirrored self (flip test)."""
    return (heatmaps + flip_back(mirrored_heatmaps, permutation)) / 2


def heatmap_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """(1/K) sum_j 1/2 mean_{b, cells} (w_bj (P_bj - T_bj))^2; maps [B, K, h, w], ``weight`` [B, K]; a scalar.

    The loss of the peers, divided by the K joints that there are (they divide by 24 whatever the data set).
    """
    return 0.5 * (weight[..., None, None] * (predicted.float() - target.float())).square().mean()


def _around(maps: Tensor, cells: Tensor, beside: tuple[tuple[int, int], ...]) -> Tensor:
    """The values [B, K, N] at N places (dx, dy) beside the cells [B, K, 2]; beyond the edge: any of the map."""
    height, width = maps.shape[-2:]
    middle = torch.add(cells[..., 0], cells[..., 1], alpha=width)
    index = (middle[..., None] + fixed(tuple(float(dy * width + dx) for dx, dy in beside), maps.device)).clamp(0, height * width - 1)
    return maps.flatten(2).gather(2, index.long())


def _inside(maps: Tensor, cells: Tensor, low: int, high: int) -> Tensor:
    """[B, K]: is low < x < w - high, and y likewise?"""
    height, width = maps.shape[-2:]
    middle, half = (fixed(tuple((extent - high + sign * low) / 2 for extent in (width, height)), maps.device) for sign in (1, -1))
    return ((cells - middle).abs() < half).all(dim=-1)


def _blur(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian smoothing, zeros outside. The odd kernel size that belongs to sigma: 11 for 2, 17 for 3, as in DARK.

    Shifted sums rather than a convolution, which autocast and TF32 would round.
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
