"""Weak and strong views: the draws of their similarity transforms, and the way from crop to view.

A weak view (the peers' "easy") is one draw; a strong view ("hard") is a strong draw on top of a weak one. The flip
belongs to the weak view, so pseudo-heatmaps need no left-right swap between the two.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semipose.geometry import similarity

if TYPE_CHECKING:
    from semipose.params import StrongView, WeakView

MEAN = (0.485, 0.456, 0.406)  # ImageNet, RGB
STD = (0.229, 0.224, 0.225)


def normalise(images: Tensor) -> Tensor:
    """uint8 RGB [B, 3, H, W] -> new float32 (x / 255 - mean) / std, so that 0 is the mean colour; laid out in memory as they are."""
    if images.is_contiguous():
        factor, offset = _scaling(images.device)
        return images.to(torch.float32, copy=True).mul_(factor).add_(offset)
    pixels = images.permute(0, 2, 3, 1)  # the colours of a pixel together: a row at a time, because a CPU is slow with three at a time
    factor, offset = (one.flatten().repeat(images.shape[3]) for one in _scaling(images.device))
    return pixels.flatten(2).to(torch.float32, copy=True).mul_(factor).add_(offset).view(pixels.shape).permute(0, 3, 1, 2)


@lru_cache
def constant(colour: tuple[float, float, float], device: torch.device) -> Tensor:
    """[3, 1, 1] float32, kept on the device so that no step copies it there again."""
    return torch.tensor(colour, dtype=torch.float32, device=device)[:, None, None]


@lru_cache
def _scaling(device: torch.device) -> tuple[Tensor, Tensor]:
    """x * factor + offset normalises; [3, 1, 1] each, kept on the device so that no step copies it there again."""
    mean, std = (constant(value, device) for value in (MEAN, STD))
    return 1 / (255 * std), -mean / std


def denormalise(images: Tensor) -> Tensor:
    """The inverse of ``normalise`` for pictures: uint8 [B, 3, H, W], clipped to 0-255."""
    mean, std = (constant(value, images.device) for value in (MEAN, STD))
    return ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)


def draw_weak(
    n: int,
    p: "WeakView",
    centre: tuple[float, float],
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Draw n weak transforms about ``centre`` (x, y in px of the view).

    Returns matrices [n, 2, 3] (view px -> view px) and flipped [n] bool: where True, left and right joints must be
    swapped. Rotation, with ``p.rotation_probability``: clip(rotation_deg z, -limit, limit), else 0. The box grows by
    clip(1 + scale z, 1 - scale, 1 + scale), so the content shrinks by it. z is standard normal.
    """
    angle, scale = _draw(n, p, generator)
    flipped = torch.rand(n, generator=generator, device=generator.device) < p.flip_probability
    angle, scale, flipped = angle.to(device), scale.to(device), flipped.to(device)
    return similarity(angle, scale, flipped, centre), flipped


def draw_strong(
    n: int,
    p: "StrongView",
    centre: tuple[float, float],
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw n strong transforms [n, 2, 3] about ``centre`` (x, y in px): the weak view's laws, and no flip."""
    angle, scale = (value.to(device) for value in _draw(n, p, generator))
    return similarity(angle, scale, torch.zeros(n, dtype=torch.bool, device=device), centre)


def sheared(theta: Tensor, size: tuple[int, int]) -> Tensor:
    """The released codes' strong transforms (trap T4): the same rotations and scales [n, 2, 3] in coordinates normalised by the height
    and width ``size`` of the view, about whose centre they turn; where the view is not square, that shears."""
    height, width = size
    (a, b), (c, d) = (row.unbind(-1) for row in theta[:, :, :2].unbind(-2))
    b, c, x, y = b * (width / height), c * (height / width), (width - 1) / 2, (height - 1) / 2
    rows = [torch.stack([a, b, x - a * x - b * y], dim=-1), torch.stack([c, d, y - c * x - d * y], dim=-1)]
    return torch.stack(rows, dim=-2)


def _draw(n: int, p: "WeakView | StrongView", generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Angles (degrees) and content scales, [n] each, on the generator's device."""
    device = generator.device
    turned = torch.rand(n, generator=generator, device=device) < p.rotation_probability
    angle = p.rotation_deg * torch.randn(n, generator=generator, device=device)
    angle = angle.clamp(-p.rotation_limit_deg, p.rotation_limit_deg) * turned
    box = 1 + p.scale * torch.randn(n, generator=generator, device=device)
    return angle, 1 / box.clamp(1 - p.scale, 1 + p.scale)
