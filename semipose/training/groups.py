"""The groups of a step: parts of its batch, each with its own batch-norm statistics, Mixup partners and random stream.

One process goes through them one after the other, several processes share them out.
Both end with the same weights, because gradients and batch-norm statistics of a step are the means
over its groups.
(Per-device statistics are what data-parallel training commonly has; here their number is a
parameter of the training, not of the machine.)
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semipose.utils.errors import InputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import nn

    from semipose.training.loss_log import Fault


class BatchGroups:
    """Of `count` groups, the ones of this process (`mine`). After the `last` one the processes share gradients."""

    def __init__(self, count: int, method: "nn.Module", fabric: "Fabric") -> None:
        """Share the groups out to the processes.

        Args:
            count: Number of groups of a step.
            method: The method; modules in eval mode now are frozen, and keep their statistics.
            fabric: The launched Fabric.

        Raises:
            InputError: The processes cannot share the groups out evenly.
        """
        if count % fabric.world_size:
            raise InputError(
                f"train.batch_groups = {count} cannot be split evenly over {fabric.world_size} processes (machine.devices x machine.nodes)"
            )
        self.fabric, self.count = fabric, count
        self.mine = range(fabric.global_rank, count, fabric.world_size)
        self.last = self.mine[-1]
        # What is in eval mode now is frozen: its statistics stay, and to average equal numbers could round them.
        moving = (module for module in method.modules() if module.training)
        self.buffers = [one for module in moving for one in module.buffers(recurse=False)] if count > 1 else []
        self.statistics = [one for one in self.buffers if one.is_floating_point()]
        self.counters = [one for one in self.buffers if not one.is_floating_point()]  # of batches

    @contextmanager
    def averaged_statistics(self) -> Iterator[Callable[[], AbstractContextManager[None]]]:
        """Average the batch-norm statistics over the groups of a step.

        Yields a context for each group, which begins with the statistics of the step before. On leaving, the statistics
        are the mean of what the groups made of them.
        """
        if not self.statistics:
            yield nullcontext
            return
        kinds = [one for one in (self.statistics, self.counters) if one]  # all of a kind at once: one launch on a GPU
        before = [torch._foreach_mul(one, 1) for one in kinds]  # copies; older torch has no _foreach_clone
        flat = torch.cat([one.flatten() for one in self.statistics]).zero_()
        parts = flat.split([one.numel() for one in self.statistics])
        total = [part.view_as(one) for part, one in zip(parts, self.statistics, strict=True)]

        @contextmanager
        def of_group() -> Iterator[None]:
            for kind, values in zip(kinds, before, strict=True):
                torch._foreach_copy_(kind, values)
            yield
            torch._foreach_add_(total, self.statistics)

        yield of_group
        self._sum(flat).div_(self.count)
        torch._foreach_copy_(self.statistics, total)

    def mean(self, row: dict[str, float]) -> dict[str, float]:
        """Each number's mean over the processes."""
        if self.fabric.world_size == 1:
            return row
        total = self._sum(torch.tensor(list(row.values()), dtype=torch.float64, device=self.fabric.device))
        return dict(zip(row, (total / self.fabric.world_size).tolist(), strict=True))

    def largest(self, number: int) -> int:
        """The largest that one of the processes has."""
        if self.fabric.world_size == 1:
            return number
        found = torch.tensor(number, device=self.fabric.device)
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)  # Fabric's would wait at a barrier first
        return int(found)

    def earliest(self, fault: "Fault | None") -> "Fault | None":
        """The first of the faults that the processes have found."""
        if self.fabric.world_size == 1:
            return fault
        found: list[Fault | None] = [None] * self.fabric.world_size
        torch.distributed.all_gather_object(found, fault)
        return min((one for one in found if one), key=lambda one: one[0], default=None)

    def _sum(self, numbers: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        if self.fabric.world_size > 1:
            torch.distributed.all_reduce(numbers)
        return numbers
