"""Random cutout (DeVries and Taylor 2017; several small holes, as in MultiAugs): rectangles anywhere, set to the mean colour."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semipose.augment import masking

if TYPE_CHECKING:
    from semipose.params import Patch


def cutout(images: Tensor, count: int, patch: "Patch", generator: torch.Generator, clamp: masking.Clamp = "frame") -> Tensor:
    """New images [B, C, H, W] (normalised) with ``count`` holes each, drawn by ``holes``."""
    height, width = images.shape[-2:]
    mask = holes(len(images), count, (height, width), patch, generator, clamp)
    return masking.mask_keypoints(images, mask.to(images.device))


def holes(n: int, count: int, size: tuple[int, int], patch: "Patch", generator: torch.Generator, clamp: masking.Clamp = "frame") -> Tensor:
    """Draw a mask [n, H, W] (bool, True: in a hole), on the generator's device: ``count`` holes per image of ``size`` (H, W).

    Centres are uniform over the pixels, half sizes those of keypoint masks; ``patch.jitter`` plays no part. ``clamp``
    "peers": columns of centres are drawn below H, rows below W, and holes are cut off there (trap T1).
    """
    height, width = size
    limits = (width, height) if clamp == "frame" else (height, width)  # of x, of y
    device = generator.device
    centres = torch.stack([torch.randint(limit, (n, count), generator=generator, device=device) for limit in limits], dim=-1)
    halves = masking.draw_halves(centres.shape, width / masking.REFERENCE_WIDTH, patch, generator)
    every = torch.ones(n, count, dtype=torch.bool, device=device)
    return masking.paint(every, centres, halves, size, clamp)
