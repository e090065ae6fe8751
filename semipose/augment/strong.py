"""Strong augmentations of a weak view before it moves, one after
the other; pseudo-labels stay as they are.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semipose.augment import colour, mixing, patches
from semipose.augment.adaptive import adaptive_count, simple_keypoints
from semipose.augment.keypoint_mix import keypoint_mix
from semipose.augment.mixing import yoco
from semipose.augment.occlusion import cut_occlude
from semipose.augment.patches import cutmix, cutout
from semipose.augment.pseudo import PseudoLabels
from semipose.data.loading.normalise import denormalise, normalise
from semipose.utils.seeding import on_host

if TYPE_CHECKING:
    from semipose.config.augment import Augment, Augmentation, ReferenceBugs

ON_HOST = ("mixup", "rand_augment", "trivial_augment", "yoco", "yoco_trivial")
"""Augmentations that take random numbers on the host, so that operations differ from step to step: no CUDA graph can hold them."""
CHANNELS = 24  # channels of the released code's networks, whatever the number of keypoints (reference bug T3)


def augment(images: Tensor, pseudo: PseudoLabels, path: "Sequence[Augmentation]", p: "Augment", generator: torch.Generator) -> Tensor:
    """Apply each strong augmentation of a path in turn.

    Args:
        images: Weak views [B, 3, H, W], normalised.
        pseudo: Their pseudo-labels, at whose keypoints some augmentations act.
        path: Names of the augmentations.
        p: Section `augment` of the parameters.
        generator: For all of them.

    Returns:
        New images [B, 3, H, W] (normalised).
    """
    for name in path:
        images = one(name, images, pseudo, p, generator)
    return images


def one(name: "Augmentation", images: Tensor, pseudo: PseudoLabels, p: "Augment", generator: torch.Generator) -> Tensor:
    """Apply one strong augmentation.

    Its numbers are those of `augment.strong_augment`, its bugs those of `augment.reference_bugs`;
    arguments as for `augment`.
    """
    much, reference_bugs, channels, clamp = p.strong_augment, p.reference_bugs, channels_of(p.reference_bugs), clamp_of(p.reference_bugs)
    match name:
        case "joint_cutout" | "adaptive_cutout":
            counts = torch.full((len(images),), much.joint_cutout, device=images.device)
            if name == "adaptive_cutout":
                law = much.adaptive
                counts = adaptive_count(pseudo.heatmaps, simple_keypoints(pseudo.heatmaps, law.response, law.tau), law)
            size = images.shape[2], images.shape[3]
            mask = patches.keypoint_masks(pseudo.points, counts, None, size, much.patch, generator, channels=channels, clamp=clamp)
            return patches.mask_keypoints(images, mask)
        case "cut_occlude":
            return cut_occlude(
                images, pseudo.points, much.cut_occlude, much.patch, generator, channels=channels, transposed=reference_bugs.transposed
            )
        case "cutout":
            return cutout(images, much.cutout, much.patch, generator, clamp)
        case "cutmix":
            return cutmix(images, much.cutmix, much.patch, generator, clamp)
        case "keypoint_mix":
            return keypoint_mix(images, pseudo.points, much.keypoint_mix, much.patch, generator)
        case "mixup":
            # The person whose labels count stays the clearer one.
            share = 1 - mixing.sample_alpha(much.mixup_alpha, on_host(generator)) / 4
            return mixing.mix(images, mixing.partner(len(images), generator), share)
        case "rand_augment" | "yoco":
            c = much.rand_augment
            return _recoloured(images, lambda x: colour.rand_augment(x, c.operations, c.magnitude, generator, c.cutout), name, generator)
        case "trivial_augment" | "yoco_trivial":
            return _recoloured(images, lambda x: colour.trivial_augment(x, generator), name, generator)


def _recoloured(images: Tensor, change: Callable[[Tensor], Tensor], name: "Augmentation", generator: torch.Generator) -> Tensor:
    """Change the colours of normalised images once; with YOCO, those of each half separately."""
    plain = denormalise(images)
    once = change(plain)
    return normalise(yoco(once, change(plain), generator) if name in ("yoco", "yoco_trivial") else once)


def channels_of(reference_bugs: "ReferenceBugs") -> int | None:
    """Number of channels that keypoints are sampled from with replacement (T3); None: the real
    ones, without replacement.
    """
    return CHANNELS if reference_bugs.channels else None


def clamp_of(reference_bugs: "ReferenceBugs") -> patches.Clamp:
    """Where patches are cut off (T1)."""
    return "reference" if reference_bugs.clamp else "frame"
