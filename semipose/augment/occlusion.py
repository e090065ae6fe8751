"""Cut-Occlude (SSPCM, Huang et al. 2023): patches around joints of another person, pasted onto joints of this one.

Unlike in the released code, patches land on the joints (it swaps x and y, T2), and joints are selected as in `selection`.
`transposed` and `channels` bring both back.
"""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from semipose.augment.patches import REFERENCE_WIDTH, sample_patches
from semipose.augment.selection import add_unreal, sample_joints

if TYPE_CHECKING:
    from semipose.config.augment import Patch


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
