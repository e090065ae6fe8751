"""Exponential moving average of a network."""

import torch
from torch import nn


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """teacher <- decay * teacher + (1 - decay) * student for weights and batch-norm statistics; integer buffers are copied."""
    pairs = list(zip(teacher.state_dict().values(), student.state_dict().values(), strict=True))
    means, values = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
    torch._foreach_lerp_(means, values, 1 - decay)  # all in one go: one launch on a GPU
    for mean, value in pairs:
        if not mean.is_floating_point():
            mean.copy_(value)
