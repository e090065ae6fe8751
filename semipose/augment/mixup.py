"""Mixup (Zhang et al. 2018) of images, features or heatmaps of one batch: one weight for the batch."""

import torch
from scipy.special import betaincinv
from torch import Tensor


def draw_alpha(alpha: float, generator: torch.Generator) -> float:
    """A weight in [0, 1] from Beta(alpha, alpha), alpha > 0, by the inverse of its distribution function; `generator`: of the host."""
    uniform = torch.rand((), generator=generator, dtype=torch.float64)
    return float(betaincinv(alpha, alpha, uniform.item()))


def partner(n: int, generator: torch.Generator) -> Tensor:
    """A permutation [n] of the batch: whom each one is mixed with (now and then itself)."""
    return torch.randperm(n, generator=generator, device=generator.device)


def mix(x: Tensor, partner: Tensor, alpha: float) -> Tensor:
    """alpha x + (1 - alpha) x[partner], for x [B, ...]."""
    return alpha * x + (1 - alpha) * x[partner.to(x.device)]
