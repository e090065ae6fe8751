"""The running averages of an epoch's losses: sums over its steps, read from the device now and
then, so that no step waits.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from semipose.methods.base import Losses
from semipose.utils.errors import Everywhere

Row = dict[str, float]
Fault = tuple[int, str, float]  # a step, and the name and value of what is no number there

EXPLODED = 1e4  # heatmaps are in 0-1: with such a loss, every heatmap value is wrong by a hundred
UNREAD = 16
"""Most groups of a step with unread losses on the device: a training ends at most this late after a loss that is not a number."""


class LossLog:
    """`sums`: each loss (as `loss/<name>`) and measure, and as `n` the number of steps that they are sums of."""

    def __init__(
        self, people: Callable[[int], tuple[list[int], list[int]]], earliest: Callable[[Fault | None], Fault | None] = lambda fault: fault
    ) -> None:
        """Start with empty sums.

        Args:
            people: Ids of a step's labelled and unlabelled people, for the message about a loss that is not a number.
            earliest: The first of the faults that the processes of a training have found.
        """
        self.people, self.earliest = people, earliest
        self.sums: Row = {}
        self.unread: list[tuple[int, float, dict[str, Tensor]]] = []

    def add(self, step: int, losses: Losses, share: float) -> None:
        """Add the losses of a group.

        Args:
            step: The step.
            losses: Losses and measures of the group.
            share: What part of the step (0-1) the group is.

        Raises:
            Everywhere: As `read`.
        """
        named = {f"loss/{name}": value for name, value in losses.terms.items()} | losses.measures
        self.unread.append((step, share, {name: value.detach().float() for name, value in named.items()}))
        if len(self.unread) == UNREAD:
            self.read()

    def read(self) -> Row:
        """Read the sums of all that was added; several processes read together.

        Raises:
            Everywhere: A loss is not a number, or is far too large. The message names it, its step
                and people; what was added after it is not counted.
        """
        unread, self.unread = self.unread, []
        values = torch.stack([value for _, _, named in unread for value in named.values()]).tolist() if unread else []
        numbers = iter(values)
        found: Fault | None = None
        for step, share, named in unread:
            of_group = dict(zip(named, numbers, strict=False))
            found = next(((step, name, number) for name, number in of_group.items() if not abs(number) < EXPLODED), None)
            if found:
                break
            for name, number in of_group.items():
                self.sums[name] = self.sums.get(name, 0.0) + share * number
            self.sums["n"] = self.sums.get("n", 0) + share
        if fault := self.earliest(found):
            step, name, number = fault
            labelled, unlabelled = (", ".join(map(str, ids)) for ids in self.people(step))
            raise Everywhere(
                f"step {step}: {name} is {number:.3g}. Lower the learning rate, or look at this step's people: "
                f"labelled {labelled}; unlabelled {unlabelled}"
            )
        return self.sums
