"""Keypoint-Mix of Teacher-Reviewer-Student (arXiv 2501.09565), a reconstruction: patches of
different keypoints are blended.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semipose.augment import mixing
from semipose.augment.occlusion import transplanted
from semipose.augment.patches import REFERENCE_WIDTH, sample_patches
from semipose.augment.selection import sample_joints

if TYPE_CHECKING:
    from semipose.config.augment import KeypointMix, Patch


def keypoint_mix(images: Tensor, points: Tensor, p: "KeypointMix", patch: "Patch", generator: torch.Generator) -> Tensor:
    """Blend `p.count` patches of each person with patches of
    other keypoints; the person's targets stay.

    Each ordered pair (j, j') has two different keypoints: patch_j <- beta patch_j + (1 - beta)
    patch_j', beta uniform in p.weight_min ... p.weight_max.
    Targets j are distinct.
    j' belongs to the same person (`p.source` "self"), or to a person of a random permutation of the
    batch, which may be the same ("batch").
    Patches are those of Cut-Occlude: read from the unchanged `images`, and cut off at both frames.
    Of overlapping patches, the last one is blended in.

    Args:
        images: [B, C, H, W], normalised.
        points: Keypoints of the same people, [B, K, 2] px, K of two or more.
        p: Number of patches, their source, and the range of beta.
        patch: Jitter and half sizes of the patches.
        generator: For the choice of keypoints and people, beta and the patches.

    Returns:
        New images [B, C, H, W].
    """
    (n, keypoints), device = points.shape[:2], generator.device
    partner = mixing.partner(n, generator) if p.source == "batch" else torch.arange(n, device=device)
    targets = sample_joints(n, p.count, keypoints, None, generator)
    sources = (targets + torch.randint(1, keypoints, targets.shape, generator=generator, device=device)) % keypoints
    beta = p.weight_min + (p.weight_max - p.weight_min) * torch.rand(targets.shape, generator=generator, device=device)
    centres, halves = sample_patches(points, images.shape[3] / REFERENCE_WIDTH, patch, generator)
    partner, targets, sources, beta = (sample.to(images.device) for sample in (partner, targets, sources, beta))
    colours, patch_of = transplanted(images, partner, targets, sources, centres, halves)
    own = beta.gather(1, patch_of.clamp_min(0).flatten(1)).view_as(patch_of)
    own = torch.where(patch_of >= 0, own, 1.0)[:, None]
    return own * images + (1 - own) * colours
