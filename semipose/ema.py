"""Exponential moving average of a network."""

import torch
from torch import nn


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """teacher <- decay * teacher + (1 - decay) * student for weights and batch-norm statistics; integer buffers are copied."""
    pairs = zip(teacher.state_dict().values(), student.state_dict().values(), strict=True)
    for mean, value in pairs:
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)
