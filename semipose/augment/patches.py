"""Patches over keypoints and at random places: keypoint masking (Joint Cutout of PoseCons, Xie et al. 2021), cutout and cutmix.

Unlike in the released code, keypoints are selected as in `selection`, and patches reach every row of a
portrait crop (the released code clamps rows by the width and columns by the height).
The input is never written to.
`channels` and `clamp` bring the first two back, so that the released code's results can be measured too.
"""

from functools import cache
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from semipose.augment import mixing
from semipose.augment.selection import add_unreal, choose, choose_with_replacement
from semipose.utils.constants import fixed, steps

if TYPE_CHECKING:
    from semipose.config.augment import Patch

REFERENCE_WIDTH = 192  # px; the input width for which patch sizes are given

Clamp = Literal["frame", "reference"]


def keypoint_masks(
    points: Tensor,
    counts: Tensor,
    eligible: Tensor | None,
    size: tuple[int, int],
    patch: "Patch",
    generator: torch.Generator,
    *,
    channels: int | None = None,
    clamp: Clamp = "frame",
) -> Tensor:
    """Sample a mask [B, H, W] (bool, True: hidden) over keypoints of every image.

    Exactly min(counts, number eligible) distinct keypoints are chosen, uniformly.

    Args:
        points: [B, K, 2] in px of the image.
        counts: Number of keypoints to mask, [B].
        eligible: [B, K] bool; None: all.
        size: (H, W) of the image.
        patch: Jitter and half sizes of the patches.
        generator: For the choice of keypoints and the patches.
        channels: Bug T3 of the released code (24 in its networks): `counts` keypoints are sampled
            with replacement from that many heatmap channels, of which only K are keypoints.
            `eligible` must then be None.
        clamp: Bug T1 of the released code, as in `paint`.

    Raises:
        ValueError: Both `channels` and `eligible` are given.
    """
    if channels is not None:
        if eligible is not None:
            raise ValueError("sampling from the released code's channels has no eligible keypoints: eligible must be None")
        chosen = choose_with_replacement(counts.to(points.device), channels, generator)
        points = add_unreal(points, channels, size, generator)
    else:
        chosen = choose(counts, points.shape[1], eligible, generator)
    centres, halves = sample_patches(points, size[1] / REFERENCE_WIDTH, patch, generator)
    return paint(chosen, centres, halves, size, clamp)


def sample_patches(points: Tensor, scale: float, patch: "Patch", generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sample a patch for every keypoint.

    The centre is the point moved by `jitter` z px per axis, truncated.
    Half sizes are uniform over the integers half_min ... half_max, per axis.
    All three are px of a 192 px wide input, times `scale`.

    Args:
        points: [B, K, 2] px.
        scale: Width of the input / 192.
        patch: Jitter and half sizes.
        generator: For centres and half sizes.

    Returns:
        Centres [B, K, 2] and half sizes [B, K, 2] (x, y), whole px.
    """
    jitter = torch.randn(points.shape, generator=generator, device=generator.device).to(points.device)
    halves = sample_halves(points.shape, scale, patch, generator)
    centres = (points.float() + patch.jitter * scale * jitter).trunc()
    return centres, halves.to(points.device)


def sample_halves(shape: tuple[int, ...], scale: float, patch: "Patch", generator: torch.Generator) -> Tensor:
    """Sample half sizes of patches, uniform over half_min ... half_max, times `scale`.

    Args:
        shape: Shape of the result.
        scale: Width of the input / 192.
        patch: Half sizes in px of a 192 px wide input.
        generator: For the samples.

    Returns:
        Whole px, at least 1.
    """
    halves = torch.randint(patch.half_min, patch.half_max + 1, shape, generator=generator, device=generator.device)
    return _scaled_halves(patch.half_max, scale, generator.device)[halves]


@cache
def _scaled_halves(largest: int, scale: float, device: torch.device) -> Tensor:
    """Scaled half sizes for each half size from 0 to the largest; kept on the device."""
    return (torch.arange(largest + 1) * scale).round().clamp(min=1).to(device)


def paint(chosen: Tensor, centres: Tensor, halves: Tensor, size: tuple[int, int], clamp: Clamp = "frame") -> Tensor:
    """Paint the union of the chosen patches [c - a, c + a), cut off at the image's edges.

    Args:
        chosen: [B, K] bool.
        centres: c, [B, K, 2] whole px.
        halves: a, [B, K, 2] whole px.
        size: (H, W) of the image.
        clamp: "reference" cuts columns off at the height and rows at the width, as the released
            code does (T1).
            Nothing below y = W of a portrait image is then hidden, and nothing right of x = H of a
            landscape one.

    Returns:
        [B, H, W] bool.
    """
    (height, width), device = size, centres.device
    grid = steps(max(size), device)
    # c - a <= g < c + a, in whole numbers; a patch that was not chosen has no extent
    covered = (grid - (centres - 0.5)[..., None]).abs() < (halves * chosen[..., None])[..., None]  # [B, K, 2, L]
    if clamp == "reference":
        covered = covered & (grid < fixed((height, width), device)[:, None])
    columns, rows = covered.float().unbind(2)
    return rows[..., :height].mT @ columns[..., :width] > 0  # number of patches over a pixel


def mask_keypoints(images: Tensor, mask: Tensor) -> Tensor:
    """New images [B, C, H, W] (normalised) with the mean colour, 0, where `mask` [B, H, W]."""
    return images.masked_fill(mask[:, None], 0.0)


def cutout(images: Tensor, count: int, patch: "Patch", generator: torch.Generator, clamp: Clamp = "frame") -> Tensor:
    """Hide random places, sampled by `holes`; arguments as there.

    Returns:
        New images [B, C, H, W] with 0, the mean colour, in the holes.
    """
    return mask_keypoints(images, holes(images, count, patch, generator, clamp))


def holes(images: Tensor, count: int, patch: "Patch", generator: torch.Generator, clamp: Clamp = "frame") -> Tensor:
    """Sample the holes of random cutout.

    Centres are uniform over the pixels, half sizes are those of keypoint masks.

    Args:
        images: [B, C, H, W]; only their shape and device count.
        count: Holes of each image.
        patch: Half sizes; its jitter has no effect.
        generator: For all samples.
        clamp: "reference": columns of centres are below H, rows below W, and holes are cut off
            there (T1).

    Returns:
        [B, H, W] bool, True: in a hole.
    """
    n, (height, width) = len(images), images.shape[-2:]
    limits = (width, height) if clamp == "frame" else (height, width)  # of x, of y
    device = generator.device
    centres = torch.stack([torch.randint(limit, (n, count), generator=generator, device=device) for limit in limits], dim=-1)
    halves = sample_halves(centres.shape, width / REFERENCE_WIDTH, patch, generator)
    every = torch.ones(n, count, dtype=torch.bool, device=device)
    return paint(every, centres, halves, (height, width), clamp).to(images.device)


def cutmix(images: Tensor, count: int, patch: "Patch", generator: torch.Generator, clamp: Clamp = "frame") -> Tensor:
    """Show the same place of a partner in random holes, sampled by `holes`; arguments as there.

    Partners are a random permutation of the batch.

    Returns:
        New images [B, C, H, W].
    """
    mask = holes(images, count, patch, generator, clamp)
    partner = mixing.partner(len(images), generator).to(images.device)
    return torch.where(mask[:, None], images[partner], images)
