"""Cut-Occlude (SSPCM, Huang et al. 2023): patches around joints of another person, pasted onto joints of this one.

Unlike the released code, patches land on the joints (it takes x for the row and y for the column, trap T2), and the
joints are the K real ones, drawn without replacement (trap T3). Both are options, ``transposed`` and ``channels``.
"""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from semipose.augment import masking

if TYPE_CHECKING:
    from semipose.params import Patch


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
    """New images [B, C, H, W] (normalised) with ``count`` patches each; the targets stay those of the person pasted onto.

    ``points`` [B, K, 2] (px) are the joints of the same people. Each image draws one image of the batch, now and then
    itself, and ``count`` (at most K) joints of both. The patch around the other's joint, drawn as for a keypoint mask and
    read from ``images`` as they came, is pasted around the own joint, moved likewise; what leaves either frame is left
    out. A later patch covers an earlier one.

    The peers' traps: ``channels`` (24) draws joints with replacement among that many heatmap channels, the unreal ones
    lying anywhere (T3); ``transposed`` swaps x and y of every centre, and follows the released code at the frame (T2).
    """
    (n, keypoints), (height, width) = points.shape[:2], images.shape[-2:]
    partner = torch.randint(n, (n,), generator=generator, device=generator.device).to(images.device)
    targets, sources = (_draw_joints(n, count, keypoints, channels, generator).to(images.device) for _ in range(2))
    if channels is not None:
        points = masking.add_unreal(points, channels, (height, width), generator)
    centres, halves = masking.draw_patches(points, width / masking.REFERENCE_WIDTH, patch, generator)
    if transposed:
        centres = centres.flip(-1)

    people = torch.arange(n, device=images.device)
    origin = torch.zeros(n, height, width, dtype=torch.long, device=images.device)  # which pixel of the partner is shown
    pasted = torch.zeros_like(origin, dtype=torch.bool)
    for target, source in zip(targets.T, sources.T, strict=True):
        own, other, half = centres[people, target], centres[partner, source], halves[partner, source]  # [B, 2]
        x, in_x, blank_x = _span(width, own[:, 0], other[:, 0], half[:, 0], transposed)
        y, in_y, blank_y = _span(height, own[:, 1], other[:, 1], half[:, 1], transposed)
        inside = in_y[:, :, None] & in_x[:, None, :]
        place = (y[:, :, None] * width + x[:, None, :]).masked_fill((blank_x | blank_y)[:, None, None], height * width)
        origin = torch.where(inside, place, origin)
        pasted = pasted | inside
    donors = F.pad(images[partner].flatten(2), (0, 1))  # and behind the last pixel one of the mean colour
    colours = donors.gather(2, origin.flatten(1)[:, None].expand(-1, images.shape[1], -1)).view(images.shape)
    return torch.where(pasted[:, None], colours, images)


def _draw_joints(n: int, count: int, keypoints: int, channels: int | None, generator: torch.Generator) -> Tensor:
    """``count`` joints of each of n people, [n, count]: distinct keypoints, or any channels with replacement."""
    device = generator.device
    if channels is not None:
        return torch.randint(channels, (n, count), generator=generator, device=device)
    return torch.rand(n, keypoints, generator=generator, device=device).argsort(dim=1)[:, :count]


def _span(extent: int, own: Tensor, other: Tensor, half: Tensor, peers: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Along one axis: where each pixel would come from and whether it lies in the patch, [B, extent]; who gets no colours, [B].

    ``own`` and ``other`` [B] are the centres to paste at and to cut at. The released code never touches the last row and
    column, and where the other's centre lies outside the frame it blanks a patch as large as that centre is far out; with
    x and y swapped this befalls the lower quarter of a portrait image's joints.
    """
    grid = torch.arange(extent, device=own.device)
    offset = grid - own[:, None]
    origin = (offset + other[:, None]).long()
    if not peers:
        inside = (offset >= -half[:, None]) & (offset < half[:, None]) & (origin >= 0) & (origin < extent)
        return origin, inside, torch.zeros_like(own, dtype=torch.bool)
    low, high = (((other + side * half).clamp(0, extent - 1) - other).abs()[:, None] for side in (-1, 1))
    inside = (offset >= -low) & (offset < high) & (grid < extent - 1)
    return origin, inside, (other < 0) | (other > extent - 1)
