"""A GPU that is not there: tensors without numbers that know they would lie on one, for tests that run anywhere.

`StandIn` lets a step run, forward and backward, on torch's fake tensors and raises Misplaced where a GPU would raise or the host would
wait for it: two devices in one operation, a generator of another device, a number or a shape that the host asks for, a copy between the
two. What has no fake tensor in it (draws on the host) is computed as ever. The device is called "meta": of those that are no CPU, the only
one for which torch's engine of gradients needs no driver.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from unittest.mock import patch

import torch
from torch import Generator, Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorDeviceMismatchError,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from semipose.augment import patches
from semipose.data.loading import normalise
from semipose.utils import constants

GPU = torch.device("meta")


class Misplaced(AssertionError):
    """What a GPU would refuse, or what the host would wait for."""


SEED = 20 * 10**9  # by which a GPU's generator is known: operations are given another Python object of it


class GPUGenerator(Generator):
    """A generator that says it is the GPU's; how far it is, is known to the host, unless a CUDA graph is captured."""

    captured = False

    def __init__(self) -> None:
        self.manual_seed(SEED)

    @property
    def device(self) -> torch.device:
        return GPU

    def get_offset(self) -> int:
        if self.captured:
            raise Misplaced("the host asks a generator that is captured")
        return 0


class StandIn(TorchDispatchMode):
    """Within a FakeTensorMode. `copies`: the host may send tensors to the GPU, as in a first step, which makes what is kept there."""

    def __init__(self, copies: bool = False) -> None:
        super().__init__()
        self.copies = copies

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        generator, device = given.get("generator"), given.get("device")
        tensors = [one for one in tree_leaves((args, given)) if isinstance(one, Tensor)]
        on_gpu = any(one.device == GPU for one in tensors) or (device is not None and torch.device(device) == GPU)
        if generator is not None and (generator.initial_seed() == SEED) != on_gpu:
            raise Misplaced(f"{func}: a generator of {'the CPU draws for the GPU' if on_gpu else 'the GPU draws for the CPU'}")
        if not on_gpu:
            with unset_fake_temporarily():
                return func(*args, **given)
        # A tensor of the host's numbers (torch.tensor, an index in a list) is made there at once, unseen, and is no fake one.
        unseen = any(one.device == GPU and not isinstance(one, FakeTensor) for one in tensors)
        if not self.copies and (unseen or self.copied(func, args, given)):
            raise Misplaced(f"{func}: the host waits for a copy between CPU and GPU")
        if func is torch.ops.aten._fused_adam_.tensor_lr:  # which has no form for fake tensors; it writes where it reads
            if any(one.device != GPU for one in tensors):
                raise Misplaced(f"{func}: two devices in one operation")
            return None
        if generator is not None:
            given["generator"] = None  # no numbers are sampled
        try:
            return func(*args, **given)
        except FakeTensorDeviceMismatchError as error:
            raise Misplaced(f"{func}: two devices in one operation: {error}") from None
        except (DataDependentOutputException, DynamicOutputShapeException):
            raise Misplaced(f"{func}: the host waits for what the GPU finds") from None

    def copied(self, func: Any, args: Any, given: dict[str, Any]) -> bool:
        """Whether an operation copies between the devices while the host waits."""
        if func is torch.ops.aten._to_copy.default and given.get("device") is not None:
            return not given.get("non_blocking") and (torch.device(given["device"]) == GPU) != (args[0].device == GPU)
        if func is torch.ops.aten.copy_.default:
            return not any(args[2:]) and args[0].device != args[1].device
        indexed = (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default, torch.ops.aten.index_put.default)
        return func in indexed and any(isinstance(one, Tensor) and one.device != GPU for one in args[1])


@contextmanager
def stand_in() -> Iterator[None]:
    """Inside, tensors on GPU are fake. Small constants that are kept on a device are forgotten before and afterwards."""
    autocast, adam = torch.autocast, import_module("torch.optim.adam")  # torch.optim hides its module

    def known(device: str, **given: Any) -> Any:
        return autocast("cuda" if device == GPU.type else device, **given)

    keepers = (constants.fixed, constants.steps, normalise.constant, normalise._scaling, normalise._scaling_of_rows, patches._scaled_halves)
    for one in keepers:
        one.cache_clear()
    try:
        with (
            patch.object(torch, "autocast", known),
            patch.object(adam, "_device_dtype_check_for_fused"),
            FakeTensorMode(allow_non_fake_inputs=True),
        ):
            yield
    finally:
        for one in keepers:
            one.cache_clear()


def moved(method: nn.Module) -> None:
    """The module's weights and buffers replaced by fake ones of the same shapes and layout; within `stand_in`."""
    for module in method.modules():
        for name, weights in module._parameters.items():
            if weights is not None:
                module._parameters[name] = nn.Parameter(torch.empty_like(weights, device=GPU), weights.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty_like(buffer, device=GPU)
