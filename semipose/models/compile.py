"""Networks through torch.compile: kernels made for this machine, of the same mathematics (rounding differs)."""

import os
import shutil
from typing import Literal

import torch
from torch import nn

from semipose.models.network import PoseNet
from semipose.utils.errors import InputError

Mode = Literal["none", "default", "max-autotune-no-cudagraphs"]

PARTS = 64
"""Shapes and modes that one network may meet before torch.compile gives up on it: parts, times train and eval, times sizes of batches."""


def compile_networks(method: nn.Module, mode: Mode, device: torch.device) -> None:
    """Compile every network of a method in place, part by part: Mixup enters between the parts, with another place and another weight in
    each step, and is left as it is. `mode` is torch.compile's; "none" does nothing. Names of weights stay. Raises InputError where kernels
    cannot be made for want of a compiler: for C++ on a CPU, for the launchers of Triton's kernels, C, on a GPU."""
    if mode == "none":
        return
    variable, *usual = ("CXX", "g++", "clang++") if device.type == "cpu" else ("CC", "gcc", "clang")
    if not any(map(shutil.which, (os.environ.get(variable, usual[0]), *usual))):
        raise InputError(f"machine.compile: {mode} needs a compiler: install {usual[0]}, or say machine.compile: none")
    torch._dynamo.config.recompile_limit = max(PARTS, torch._dynamo.config.recompile_limit)
    for net in (module for module in method.modules() if isinstance(module, PoseNet)):
        for part in (*net.backbone.values(), net.head):
            part.compile(dynamic=False, mode=mode)
