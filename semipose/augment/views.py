"""Weak and strong views: sampling their similarity transforms, and the way from crop to view.

A weak view ("easy" in the released code) is one transform; a strong view ("hard") is a stronger
transform of a weak one.
The flip belongs to the weak view, so pseudo-labels need no left-right swap between the two.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semipose.pose.geometry import similarity

if TYPE_CHECKING:
    from semipose.config.augment import StrongView, WeakView


def sample_weak(n: int, p: "WeakView", centre: tuple[float, float], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sample weak transforms.

    Rotation, with `p.rotation_probability`: clip(rotation_deg z, -limit, limit), else 0.
    The box grows by clip(1 + scale z, 1 - scale, 1 + scale), so the content shrinks by it; z is
    standard normal.

    Args:
        n: Number of transforms.
        p: Distribution of rotation, scale and flip.
        centre: (x, y) in px of the view.
        generator: For all samples; the results are on its device.

    Returns:
        Matrices [n, 2, 3] (view px -> view px), and flipped [n] bool: if True, left and right
        joints must be swapped.
    """
    angle, scale = _sample(n, p, generator)
    flipped = torch.rand(n, generator=generator, device=generator.device) < p.flip_probability
    return similarity(angle, scale, flipped, centre), flipped


def sample_strong(n: int, p: "StrongView", centre: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Sample strong transforms: as `sample_weak`, without the flip.

    Args:
        n: Number of transforms.
        p: Distribution of rotation and scale.
        centre: (x, y) in px of the view.
        generator: For all samples; the result is on its device.

    Returns:
        Matrices [n, 2, 3], view px -> view px.
    """
    angle, scale = _sample(n, p, generator)
    return similarity(angle, scale, None, centre)


def sheared(theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Shear strong transforms as the released code does (reference bug T4).

    A square view is not sheared.

    Args:
        theta: Rotations and scales, [n, 2, 3].
        size: (height, width) of the view.

    Returns:
        The same rotations and scales, [n, 2, 3], in coordinates normalised by height and width.
    """
    height, width = size
    (a, b), (c, d) = (row.unbind(-1) for row in theta[:, :, :2].unbind(-2))
    b, c, x, y = b * (width / height), c * (height / width), (width - 1) / 2, (height - 1) / 2
    rows = [torch.stack([a, b, x - a * x - b * y], dim=-1), torch.stack([c, d, y - c * x - d * y], dim=-1)]
    return torch.stack(rows, dim=-2)


def _sample(n: int, p: "WeakView | StrongView", generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Angles (degrees) and content scales, [n] each, on the generator's device."""
    device = generator.device
    turned = torch.rand(n, generator=generator, device=device) < p.rotation_probability
    angle = p.rotation_deg * torch.randn(n, generator=generator, device=device)
    angle = angle.clamp(-p.rotation_limit_deg, p.rotation_limit_deg) * turned
    box = 1 + p.scale * torch.randn(n, generator=generator, device=device)
    return angle, box.clamp(1 - p.scale, 1 + p.scale).reciprocal()
