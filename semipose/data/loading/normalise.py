"""From pixels to the input of networks, and back: ImageNet mean and standard deviation."""

from functools import cache

import torch
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)  # ImageNet, RGB
STD = (0.229, 0.224, 0.225)


def normalise(images: Tensor) -> Tensor:
    """uint8 RGB [B, 3, H, W] -> new float32 (x / 255 - mean) / std, so
    that 0 is the mean colour; same memory layout.
    """
    if images.is_contiguous():
        factor, offset = _scaling(images.device)
        return images.to(torch.float32, copy=True).mul_(factor).add_(offset)
    pixels = images.permute(
        0, 2, 3, 1
    )  # the colours of a pixel together: one row at a time, because a CPU is slow with three values at a time
    factor, offset = _scaling_of_rows(images.shape[3], images.device)
    return pixels.flatten(2).to(torch.float32, copy=True).mul_(factor).add_(offset).view(pixels.shape).permute(0, 3, 1, 2)


@cache
def constant(colour: tuple[float, float, float], device: torch.device) -> Tensor:
    """[3, 1, 1] float32, kept on the device so that no step copies it there."""
    return torch.tensor(colour, dtype=torch.float32, device=device)[:, None, None]


@cache
def _scaling(device: torch.device) -> tuple[Tensor, Tensor]:
    """Factor and offset of the normalisation x * factor +
    offset, [3, 1, 1] each, kept on the device.
    """
    mean, std = (constant(value, device) for value in (MEAN, STD))
    return 1 / (255 * std), -mean / std


@cache
def _scaling_of_rows(width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The same for rows of `width` pixels whose colours lie together; [3 width] each."""
    factor, offset = _scaling(device)
    return factor.flatten().repeat(width), offset.flatten().repeat(width)


def denormalise(images: Tensor) -> Tensor:
    """The inverse of `normalise`, for pictures: uint8 [B, 3, H, W], clipped to 0-255."""
    mean, std = (constant(value, images.device) for value in (MEAN, STD))
    return ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
