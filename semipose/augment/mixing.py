"""Mixup (Zhang et al. 2018) of images, features or heatmaps of
one batch, with one weight for the batch.
"""

import torch
from scipy.special import betaincinv
from torch import Tensor


def sample_alpha(alpha: float, generator: torch.Generator) -> float:
    """Sample a weight in [0, 1] from Beta(alpha, alpha), alpha > 0, by the inverse of its
    distribution function.

    Args:
        alpha: Both parameters of the distribution, above 0.
        generator: A generator on the CPU.
    """
    uniform = torch.rand((), generator=generator, dtype=torch.float64)
    return float(betaincinv(alpha, alpha, uniform.item()))


def partner(n: int, generator: torch.Generator) -> Tensor:
    """A random permutation [n] of the batch: the partner of
    each person, sometimes the person itself.
    """
    return torch.randperm(n, generator=generator, device=generator.device)


def mix(x: Tensor, partner: Tensor, alpha: float | Tensor, rest: float | Tensor | None = None) -> Tensor:
    """Compute alpha x + rest x[partner].

    Args:
        x: Images, features or heatmaps, [B, ...].
        partner: A permutation, [B].
        alpha: A number, or a tensor [] of float32.
        rest: As `alpha`; None: 1 - alpha.
    """
    return _times(x, alpha) + _times(x[partner.to(x.device)], 1 - alpha if rest is None else rest)


def _times(x: Tensor, weight: float | Tensor) -> Tensor:
    """x in its own type. A number counts with its 24 bits, also for x in bfloat16; a tensor would be rounded to eight of them first."""
    return weight * x if isinstance(weight, float) else (weight * x.float()).to(x.dtype)


def yoco(first: Tensor, second: Tensor, generator: torch.Generator) -> Tensor:
    """Join two images at a cut in the middle.

    `first` is above or left of the cut, `second` on the other side.
    The direction of the cut is random for each image, both equally likely.
    If a size is odd, the second half is the larger one.

    Args:
        first: Copies of B people, [B, C, H, W].
        second: Other copies of the same people, of the same type.
        generator: For the directions.

    Returns:
        New images [B, C, H, W].
    """
    height, width = first.shape[-2:]
    coin = torch.rand(len(first), generator=generator, device=generator.device).to(first.device)
    lower = torch.arange(height, device=first.device)[:, None] >= height // 2
    right = torch.arange(width, device=first.device) >= width // 2
    rest = torch.where(coin[:, None, None] < 0.5, lower, right)  # [B, H, W]
    return torch.where(rest[:, None], second, first)
