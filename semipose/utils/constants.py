"""Small constant tensors that every step needs.

They are made once and kept on the device, so that no step copies or computes them again.
They stay for as long as the process lives: CUDA graphs (training/graphs.py) read them where they are.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor


@cache
def fixed(values: Any, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """A constant tensor of numbers in nested tuples; do not write to it."""
    with torch.inference_mode(False):  # a tensor made in inference mode could not be used in training later
        return torch.tensor(values, device=device, dtype=dtype)


@cache
def steps(count: int, device: torch.device) -> Tensor:
    """0, 1 ... count - 1 as float32 [count], positions along an axis; do not write to it."""
    with torch.inference_mode(False):
        return torch.arange(count, dtype=torch.float32, device=device)
