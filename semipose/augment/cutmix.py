"""CutMix (Yun et al. 2019) as in MultiAugs: small holes filled from another image; the targets stay those of the first."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semipose.augment import mixup
from semipose.augment.cutout import holes
from semipose.augment.masking import Clamp

if TYPE_CHECKING:
    from semipose.params import Patch


def cutmix(images: Tensor, count: int, patch: "Patch", generator: torch.Generator, clamp: Clamp = "frame") -> Tensor:
    """New images [B, C, H, W] whose ``count`` holes show the same place of a partner, by a random permutation of the batch.

    Holes are those of random cutout, ``clamp`` too.
    """
    height, width = images.shape[-2:]
    mask = holes(len(images), count, (height, width), patch, generator, clamp).to(images.device)
    partner = mixup.partner(len(images), generator).to(images.device)
    return torch.where(mask[:, None], images[partner], images)
