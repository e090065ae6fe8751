"""Exponential moving average of a network."""

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from semipose.models.network import PoseNet


class Averages(nn.ModuleList):
    """A moving average of each network, as its teacher; with decay 0 there is none, and the
    networks teach themselves.
    """

    def __init__(self, nets: Sequence[PoseNet], decay: float) -> None:
        super().__init__(copy.deepcopy(net).requires_grad_(False) for net in nets if decay > 0)
        self.decay = decay

    def teachers(self, nets: Sequence[PoseNet]) -> list[PoseNet]:
        """The averages of the networks, or themselves."""
        return cast(list[PoseNet], list(self)) or list(nets)

    def follow(self, nets: Sequence[PoseNet]) -> None:
        """Update the averages after a step of the networks."""
        for average, net in zip(self, nets, strict=False):
            follow(average, net, self.decay)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """teacher <- decay * teacher + (1 - decay) * student for weights and batch-norm statistics;
    integer buffers are copied.
    """
    pairs = list(zip(teacher.state_dict().values(), student.state_dict().values(), strict=True))
    means, values = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
    torch._foreach_lerp_(means, values, 1 - decay)  # all at once: one launch on a GPU
    for mean, value in pairs:
        if not mean.is_floating_point():
            mean.copy_(value)
