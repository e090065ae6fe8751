"""Networks through torch.compile: kernels made for this machine, equal up to rounding."""

import os
import shutil
from typing import Literal

import torch
from torch import nn

from semipose.models.network import PoseNet
from semipose.utils.errors import InputError

Mode = Literal["none", "default", "max-autotune-no-cudagraphs"]

PARTS = 64
"""Number of shapes and modes of one network before torch.compile
gives up: parts x train and eval x batch sizes.
"""


def compile_networks(method: nn.Module, mode: Mode, device: torch.device) -> None:
    """Compile every network of a method in place, part by part; names of weights stay.

    Mixup happens between the parts, at another place and with
    another weight in each step, and is not compiled.

    Args:
        method: The method, whose networks are compiled.
        mode: torch.compile's mode; "none" does nothing.
        device: Where the networks will run; it decides which compiler is needed.

    Raises:
        InputError: There is no compiler: for C++ on a CPU, for C
            (the launchers of Triton's kernels) on a GPU.
    """
    if mode == "none":
        return
    variable, *usual = ("CXX", "g++", "clang++") if device.type == "cpu" else ("CC", "gcc", "clang")
    if not any(map(shutil.which, (os.environ.get(variable, usual[0]), *usual))):
        raise InputError(f"machine.compile: {mode} needs a compiler; install {usual[0]}, or set machine.compile: none")
    torch._dynamo.config.recompile_limit = max(PARTS, torch._dynamo.config.recompile_limit)
    for net in (module for module in method.modules() if isinstance(module, PoseNet)):
        for part in (*net.backbone.values(), net.head):
            part.compile(dynamic=False, mode=mode)
