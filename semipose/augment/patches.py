"""Keypoint masking (Joint Cutout of PoseCons, Xie et al. 2021):
patches over keypoints, set to the mean colour.

Unlike in the released code, joints are the K real ones, sampled without replacement.
Patches reach every row of a portrait crop (the released code
clamps rows by the width and columns by the height).
The input is never written to.
`channels` and `clamp` bring the first two back, so that the
released code's results can be measured too.
"""

from functools import cache
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from semipose.augment import mixing
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


def choose(counts: Tensor, keypoints: int, eligible: Tensor | None, generator: torch.Generator) -> Tensor:
    """Choose keypoints without replacement.

    Args:
        counts: How many of each person, [B]; if fewer are eligible, all of those.
        keypoints: Number of keypoints, K.
        eligible: [B, K] bool; None: all.
        generator: For the choice; the result is on its device.

    Returns:
        [B, K] bool.
    """
    device = generator.device
    keys = torch.rand(len(counts), keypoints, generator=generator, device=device)
    if eligible is not None:
        keys = keys.masked_fill(~eligible.to(device), 2.0)
    chosen = keys.argsort(dim=1).argsort(dim=1) < counts.to(device)[:, None]
    return chosen if eligible is None else chosen & eligible.to(device)


def choose_with_replacement(counts: Tensor, channels: int, generator: torch.Generator) -> Tensor:
    """Sample channels with replacement, as the released code does.

    Args:
        counts: Samples of each person, [B]; at most `channels` count.
        channels: Number of channels.
        generator: For the samples.

    Returns:
        [B, channels] bool, True: sampled at least once.
    """
    shape = (len(counts), channels)
    draws = torch.randint(channels, shape, generator=generator, device=generator.device).to(counts.device)
    every = torch.arange(channels, device=counts.device)
    sampled = (draws[..., None] == every) & (every < counts[:, None])[..., None]  # [B, sample, channel]
    return sampled.any(dim=1)


def add_unreal(points: Tensor, channels: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Add points of untrained channels, as the released code has them.

    The peak of an untrained channel may be anywhere: it is uniform over the image.

    Args:
        points: The real ones, [B, K, 2] px.
        channels: Number of all channels.
        size: (H, W) of the image.
        generator: For the added points.

    Returns:
        [B, channels, 2] px, the real ones first.
    """
    shape = (len(points), channels - points.shape[1])
    columns, rows = (extent * torch.rand(shape, generator=generator, device=generator.device) for extent in (size[1], size[0]))
    return torch.cat([points.float(), torch.stack([columns, rows], dim=-1).to(points.device)], dim=1)


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


def cut_occlude(
    images: Tensor,
    points: Tensor,
    count: int,
    patch: "Patch",
    generator: torch.Generator,
    *,
    channels: int | None = None,
    transposed: bool = False,
) -> Tensor:
    """Paste `count` patches from another person onto each person; the person's targets stay.

    Each image gets a random image of the batch, sometimes
    itself, and `count` (at most K) joints of both.
    The patch around the other person's joint is sampled as for a
    keypoint mask and read from the unchanged `images`.
    It is pasted around the person's own joint, moved by the same
    jitter; what leaves either frame is left out.
    A later patch covers an earlier one.

    Args:
        images: [B, C, H, W], normalised.
        points: Joints of the same people, [B, K, 2] px.
        count: Number of patches per person, at most K.
        patch: Jitter and half sizes of the patches.
        generator: For the choice of people and joints, and the patches.
        channels: Bug T3 of the released code: joints are sampled with replacement from that many
            heatmap channels, and those without a joint lie anywhere.
        transposed: Bug T2 of the released code: x and y of every centre are swapped, and patches at
            the frame are as there.

    Returns:
        New images [B, C, H, W].
    """
    (n, keypoints), (height, width) = points.shape[:2], images.shape[-2:]
    partner = torch.randint(n, (n,), generator=generator, device=generator.device).to(images.device)
    targets, sources = (sample_joints(n, count, keypoints, channels, generator).to(images.device) for _ in range(2))
    if channels is not None:
        points = add_unreal(points, channels, (height, width), generator)
    centres, halves = sample_patches(points, width / REFERENCE_WIDTH, patch, generator)
    if transposed:
        centres = centres.flip(-1)

    colours, patch_of = transplanted(images, partner, targets, sources, centres, halves, transposed)
    return torch.where((patch_of >= 0)[:, None], colours, images)


def transplanted(
    images: Tensor, partner: Tensor, targets: Tensor, sources: Tensor, centres: Tensor, halves: Tensor, released: bool = False
) -> tuple[Tensor, Tensor]:
    """Patches around other people's joints, moved to a person's own joints.

    Args:
        images: [B, C, H, W].
        partner: Whose patches a person gets, [B].
        targets: The person's own joints, [B, N].
        sources: The partner's joints, [B, N].
        centres: Everybody's patches, [B, K, 2].
        halves: Their half sizes, [B, K, 2].
        released: Whether patches at the frame are as in the released code (`_span`).

    Returns:
        Colours [B, C, H, W], and the patch that covers each
        pixel, [B, H, W] (the last one; -1: none).
    """
    n, (height, width) = len(images), images.shape[-2:]
    people = torch.arange(n, device=images.device)
    origin = torch.zeros(n, height, width, dtype=torch.long, device=images.device)  # the partner's pixel that is shown
    patch_of = torch.full_like(origin, -1)
    for number, (target, source) in enumerate(zip(targets.T, sources.T, strict=True)):
        own, other, half = centres[people, target], centres[partner, source], halves[partner, source]  # [B, 2]
        x, in_x, blank_x = _span(width, own[:, 0], other[:, 0], half[:, 0], released)
        y, in_y, blank_y = _span(height, own[:, 1], other[:, 1], half[:, 1], released)
        inside = in_y[:, :, None] & in_x[:, None, :]
        place = (y[:, :, None] * width + x[:, None, :]).masked_fill((blank_x | blank_y)[:, None, None], height * width)
        origin = torch.where(inside, place, origin)
        patch_of = patch_of.masked_fill(inside, number)
    donors = F.pad(images[partner].flatten(2), (0, 1))  # and, after the last pixel, one of the mean colour
    colours = donors.gather(2, origin.flatten(1)[:, None].expand(-1, images.shape[1], -1)).view(images.shape)
    return colours, patch_of


def sample_joints(n: int, count: int, keypoints: int, channels: int | None, generator: torch.Generator) -> Tensor:
    """Sample joints of each person: distinct keypoints, or any channels with replacement.

    Args:
        n: Number of people.
        count: Joints of each person; of keypoints, at most K.
        keypoints: Number of keypoints, K.
        channels: Number of channels to sample from with replacement; None: the keypoints.
        generator: For the samples.

    Returns:
        [n, count] int.
    """
    device = generator.device
    if channels is not None:
        return torch.randint(channels, (n, count), generator=generator, device=device)
    return torch.rand(n, keypoints, generator=generator, device=device).argsort(dim=1)[:, :count]


def _span(extent: int, own: Tensor, other: Tensor, half: Tensor, released: bool) -> tuple[Tensor, Tensor, Tensor]:
    """One axis of a patch: the source of each pixel and whether it is in the patch, [B, extent];
    who gets no colours, [B].

    The released code never touches the last row and column.
    If the other person's centre is outside the frame, it blanks a patch as large as that distance.
    With x and y swapped, this affects joints in the lower quarter of a portrait image.

    A patch is cut at the centre `other` [B] and pasted at the centre `own` [B].
    """
    grid = torch.arange(extent, device=own.device)
    offset = grid - own[:, None]
    origin = (offset + other[:, None]).long()
    if not released:
        inside = (offset >= -half[:, None]) & (offset < half[:, None]) & (origin >= 0) & (origin < extent)
        return origin, inside, torch.zeros_like(own, dtype=torch.bool)
    low, high = (((other + side * half).clamp(0, extent - 1) - other).abs()[:, None] for side in (-1, 1))
    inside = (offset >= -low) & (offset < high) & (grid < extent - 1)
    return origin, inside, (other < 0) | (other > extent - 1)
