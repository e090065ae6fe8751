"""The groups of a step: parts of its batch with batch-norm statistics, mixing partners and a random stream of their own.

One process goes through them one after the other, several processes share them out, and both end with the same weights: gradients and
batch-norm statistics of a step are the means over its groups. (Per-device statistics are what data-parallel training commonly has; here
their number is a parameter of the training, not of the machine.)
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from semipose.utils.errors import InputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import nn

    from semipose.training.loss_log import Fault


class BatchGroups:
    """Of `count` groups those that are this process's, to be gone through once a step. After the `last` one gradients are shared."""

    def __init__(self, count: int, method: "nn.Module", fabric: "Fabric") -> None:
        """Raises InputError where the processes cannot share the groups out evenly."""
        if count % fabric.world_size:
            raise InputError(
                f"train.batch_groups = {count} cannot be split evenly over {fabric.world_size} processes (machine.devices x machine.nodes)"
            )
        self.fabric, self.count = fabric, count
        self.mine = range(fabric.global_rank, count, fabric.world_size)
        self.last = self.mine[-1]
        self.buffers = list(method.buffers()) if count > 1 else []
        self.statistics = [one for one in self.buffers if one.is_floating_point()]  # the others count batches

    def __len__(self) -> int:
        return len(self.mine)

    def __iter__(self) -> Iterator[int]:
        """Each begins with the batch-norm statistics of the step before; afterwards they are the mean of what each made of them."""
        before = [one.clone() for one in self.buffers]
        total = [torch.zeros_like(one) for one in self.statistics]
        for group in self.mine:
            for one, first in zip(self.buffers, before, strict=True):
                one.copy_(first)
            yield group
            for sums, one in zip(total, self.statistics, strict=True):
                sums += one
        if self.statistics:
            flat = self._sum(torch.cat([sums.flatten() for sums in total])) / self.count
            for one, mean in zip(self.statistics, flat.split([one.numel() for one in self.statistics]), strict=True):
                one.copy_(mean.view_as(one))

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
        return int(self.fabric.all_reduce(torch.tensor(number, device=self.fabric.device), reduce_op="max"))  # type: ignore[arg-type]

    def earliest(self, fault: "Fault | None") -> "Fault | None":
        """The first of the faults that the processes have found."""
        if self.fabric.world_size == 1:
            return fault
        found: list[Fault | None] = [None] * self.fabric.world_size
        torch.distributed.all_gather_object(found, fault)
        return min((one for one in found if one), key=lambda one: one[0], default=None)

    def _sum(self, numbers: torch.Tensor) -> torch.Tensor:
        if self.fabric.world_size == 1:
            return numbers
        total: torch.Tensor = self.fabric.all_reduce(numbers, reduce_op="sum")  # type: ignore[assignment]
        return total
