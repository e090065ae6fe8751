"""Small tensors that every step needs: made once, and kept on the device, so that no step copies or computes them again.

For as long as the process lives: CUDA graphs (training/graphs.py) read them where they lie."""

from functools import cache
from typing import Any

import torch
from torch import Tensor


@cache
def fixed(values: Any, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor of numbers in tuples; nothing may be written to it."""
    with torch.inference_mode(False):  # a tensor of inference mode could not be used in training afterwards
        return torch.tensor(values, device=device, dtype=dtype)


@cache
def steps(count: int, device: torch.device) -> Tensor:
    """0, 1 ... count - 1 as float32 [count]: the places of pixels or cells along an axis; nothing may be written to it."""
    with torch.inference_mode(False):
        return torch.arange(count, dtype=torch.float32, device=device)
