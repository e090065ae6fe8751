"""Networks through torch.compile: kernels made for this machine, of the same mathematics (rounding differs)."""

import shutil
from os import environ
from typing import Literal

import torch
from torch import nn

from semipose.errors import InputError
from semipose.models import PoseNet

Mode = Literal["none", "default", "reduce-overhead", "max-autotune"]

PARTS = 64
"""Shapes and modes that one network may meet before torch.compile gives up on it: parts, times train and eval, times sizes of batches."""


def compile_networks(method: nn.Module, mode: Mode, device: torch.device) -> None:
    """Compile every network of a method in place, part by part: Mixup enters between the parts, with another place and another weight in
    each step, and is left as it is. `mode` is torch.compile's; "none" does nothing. Names of weights stay. Raises InputError where a CPU's
    kernels cannot be made for want of a compiler."""
    if mode == "none":
        return
    if device.type == "cpu" and not any(map(shutil.which, (environ.get("CXX", "g++"), "g++", "clang++"))):
        raise InputError(f"machine.compile: {mode} needs a C++ compiler on a CPU: install g++, or say machine.compile: none")
    torch._dynamo.config.recompile_limit = max(PARTS, torch._dynamo.config.recompile_limit)
    for net in (module for module in method.modules() if isinstance(module, PoseNet)):
        for part in (*net.trunk.values(), net.head):
            part.compile(dynamic=False, mode=mode)
