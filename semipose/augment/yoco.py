"""You Only Cut Once (YOCO, Han et al. 2022), as in MultiAugs: one image out of the halves of two augmented copies."""

import torch
from torch import Tensor


def yoco(first: Tensor, second: Tensor, generator: torch.Generator) -> Tensor:
    """New images [B, C, H, W], cut in the middle: above or left of the cut ``first``, the rest ``second``.

    Both are copies of the same people, of the same type. Each image draws the direction of its cut, both equally likely;
    of an odd size the second half is the larger one.
    """
    height, width = first.shape[-2:]
    coin = torch.rand(len(first), generator=generator, device=generator.device).to(first.device)
    lower = torch.arange(height, device=first.device)[:, None] >= height // 2
    right = torch.arange(width, device=first.device) >= width // 2
    rest = torch.where(coin[:, None, None] < 0.5, lower, right)  # [B, H, W]
    return torch.where(rest[:, None], second, first)
