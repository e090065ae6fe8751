"""Keypoint-Mix of Teacher-Reviewer-Student (arXiv 2501.09565), a reconstruction: patches of different keypoints are blended."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semipose.augment import mixing
from semipose.augment.patches import REFERENCE_WIDTH, sample_joints, sample_patches, transplanted

if TYPE_CHECKING:
    from semipose.config.augment import KeypointMix, Patch


def keypoint_mix(images: Tensor, points: Tensor, p: "KeypointMix", patch: "Patch", generator: torch.Generator) -> Tensor:
    """New images [B, C, H, W] (normalised) with ``p.count`` mixed patches each; the targets stay those of the person mixed into.

    ``points`` [B, K, 2] (px) are the keypoints of the same people, K of two or more. Each of the ordered pairs (j, j') joins two different
    keypoints: patch_j <- beta patch_j + (1 - beta) patch_j', beta uniform in p.weight_min ... p.weight_max. Targets j are distinct; j' is
    the same person's (``p.source`` "self") or that of a person from a permutation of the batch, now and then oneself ("batch"). Patches
    are those of Cut-Occlude: read from ``images`` as they came, cut off at both frames; of patches that overlap the last one is mixed in.
    """
    (n, keypoints), device = points.shape[:2], generator.device
    partner = mixing.partner(n, generator) if p.source == "batch" else torch.arange(n, device=device)
    targets = sample_joints(n, p.count, keypoints, None, generator)
    sources = (targets + torch.randint(1, keypoints, targets.shape, generator=generator, device=device)) % keypoints
    beta = p.weight_min + (p.weight_max - p.weight_min) * torch.rand(targets.shape, generator=generator, device=device)
    centres, halves = sample_patches(points, images.shape[3] / REFERENCE_WIDTH, patch, generator)
    partner, targets, sources, beta = (drawn.to(images.device) for drawn in (partner, targets, sources, beta))
    colours, patch_of = transplanted(images, partner, targets, sources, centres, halves)
    own = beta.gather(1, patch_of.clamp_min(0).flatten(1)).view_as(patch_of)
    own = torch.where(patch_of >= 0, own, 1.0)[:, None]
    return own * images + (1 - own) * colours
