"""Keypoint masking (Joint Cutout of PoseCons, Xie et al. 2021): patches over keypoints, set to the mean colour.

Unlike the released code, the joints are the K real ones, drawn without replacement, patches reach every row of a
portrait crop (it clamps rows by the width and columns by the height), and the input is never written to.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from semipose.params import Patch

REFERENCE_WIDTH = 192  # px; the input width for which patch sizes are given


def patches(
    points: Tensor,
    counts: Tensor,
    eligible: Tensor | None,
    size: tuple[int, int],
    patch: "Patch",
    generator: torch.Generator,
) -> Tensor:
    """Draw a mask [B, H, W] (bool, True: to be hidden) over ``counts`` [B] of the K keypoints of every image.

    ``points`` [B, K, 2] in px of the image of ``size`` (H, W); ``eligible`` [B, K] bool, or None for all. Exactly
    min(counts, number eligible) distinct keypoints are chosen, uniformly.
    """
    if eligible is None:
        eligible = torch.ones(points.shape[:2], dtype=torch.bool, device=points.device)
    chosen = choose(counts, eligible, generator)
    centres, halves = draw_patches(points, size[1] / REFERENCE_WIDTH, patch, generator)
    return paint(chosen, centres, halves, size)


def choose(counts: Tensor, eligible: Tensor, generator: torch.Generator) -> Tensor:
    """Choose min(counts, number eligible) of the ``eligible`` [B, K] keypoints without replacement; [B, K] bool."""
    keys = torch.rand(eligible.shape, generator=generator, device=generator.device).to(eligible.device)
    rank = keys.masked_fill(~eligible, 2.0).argsort(dim=1).argsort(dim=1)
    return (rank < counts.to(eligible.device)[:, None]) & eligible


def draw_patches(points: Tensor, scale: float, patch: "Patch", generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A patch for every keypoint: centres [B, K, 2] and half sizes [B, K, 2] (x, y), whole px.

    The centre is the point moved by ``jitter`` z px per axis, truncated; half sizes are uniform over the integers
    half_min ... half_max, per axis. All three are px of a 192 px wide input, times ``scale``.
    """
    device = generator.device
    jitter = torch.randn(points.shape, generator=generator, device=device).to(points.device)
    halves = torch.randint(patch.half_min, patch.half_max + 1, points.shape, generator=generator, device=device)
    centres = (points.float() + patch.jitter * scale * jitter).trunc()
    return centres, (halves.to(points.device) * scale).round().clamp(min=1)


def paint(chosen: Tensor, centres: Tensor, halves: Tensor, size: tuple[int, int]) -> Tensor:
    """The union [B, H, W] of the chosen patches [c - a, c + a), cut off at the image's edges."""
    low, high = centres - halves, centres + halves
    covered = []
    for axis, extent in enumerate((size[1], size[0])):
        grid = torch.arange(extent, device=centres.device)
        covered.append((grid >= low[..., axis, None]) & (grid < high[..., axis, None]))
    columns, rows = covered[0] & chosen[..., None], covered[1]
    return rows.float().mT @ columns.float() > 0  # how many patches cover a pixel


def mask_keypoints(images: Tensor, mask: Tensor) -> Tensor:
    """New images [B, C, H, W] (normalised) with the mean colour, 0, where ``mask`` [B, H, W]."""
    return images.masked_fill(mask[:, None], 0.0)
