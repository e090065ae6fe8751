"""A CUDA graph that is none: the operations of a training step, written down as they are done on a CPU, and done again without Python.

What a graph would repeat, `Taped` repeats: the same operations on the same memory, with the numbers that the host gave when they were
written down. So whatever depends on more than fixed tensors gives other weights than a plain training. What a capture refuses, it refuses.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from semipose.training.graphs import GraphedStep, Result

WAITS = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)


class Uncapturable(AssertionError):
    """What CUDA would refuse while it captures."""


class Tape(TorchDispatchMode):
    """Writes operations down, forward and backward: on a CPU both are done by this thread."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        masks = func is torch.ops.aten.index.Tensor and any(one is not None and one.dtype == torch.bool for one in args[1])
        if masks or (func is not torch.ops.aten.index.Tensor and any(tag in func.tags for tag in WAITS)):
            raise Uncapturable(f"{func}: the host waits for what the GPU finds")
        if func is torch.ops.aten.lift_fresh.default:
            raise Uncapturable(f"{func}: the host makes a tensor, and waits until it is sent")
        result = func(*args, **(kwargs or {}))
        if not any(one.alias_info and not one.alias_info.is_write for one in func._schema.returns):  # a view stays one
            written = any(one.alias_info for one in func._schema.returns)
            found = [] if written else [one for one in tree_leaves(result) if isinstance(one, Tensor)]
            self.done.append((func, args, kwargs or {}, found))
        return result

    def replay(self) -> None:
        with torch._C._AutoDispatchBelowAutograd():
            for func, args, kwargs, found in self.done:
                again = [one for one in tree_leaves(func(*args, **kwargs)) if isinstance(one, Tensor)]
                for place, new in zip(found, again if found else [], strict=True):
                    place.copy_(new)


class Taped(GraphedStep):
    """Steps of a CPU, each kind replayed from its tape. On a GPU the capture itself does nothing; here it is the step."""

    replays = 0

    def aside(self, work: Callable[[], Result]) -> Result:
        return work()

    def captured(self, work: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        with Tape() as tape:
            result = work()
        fresh = [True]

        def replay() -> None:
            if fresh:
                fresh.pop()
            else:
                Taped.replays += 1
                tape.replay()

        return replay, result
