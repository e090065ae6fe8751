"""What an epoch has lost so far: sums over its steps, read off the device now and then, so that no step waits for it."""

from collections.abc import Callable

import torch
from torch import Tensor

from semipose.errors import InputError
from semipose.methods.method import Losses

Row = dict[str, float]

EXPLODED = 1e4  # heatmaps lie in 0-1: with a loss like that every cell is wrong by a hundred
UNREAD = 16
"""Groups of a step, at most, whose losses lie on the device unread: by so many a training outlives a loss that is no number."""


class Tally:
    """`sums`: each loss (as `loss/<name>`) and measure, and as `n` the number of steps that they are sums of."""

    def __init__(self, people: Callable[[int], tuple[list[int], list[int]]]) -> None:
        """people: ids of a step's labelled and unlabelled people, for the message about a loss that is no number."""
        self.people = people
        self.sums: Row = {}
        self.unread: list[tuple[int, float, dict[str, Tensor]]] = []

    def add(self, step: int, losses: Losses, share: float) -> None:
        """The losses of a group, which is this share of the step. Raises InputError as `read` does."""
        named = {f"loss/{name}": value for name, value in losses.terms.items()} | losses.measures
        self.unread.append((step, share, {name: value.detach().float() for name, value in named.items()}))
        if len(self.unread) == UNREAD:
            self.read()

    def read(self) -> Row:
        """The sums of all that was added. Raises InputError at a loss that is no number or beyond all measure, naming it, its step and
        people; what was added after it counts no more."""
        unread, self.unread = self.unread, []
        values = torch.stack([value for _, _, named in unread for value in named.values()]).tolist() if unread else []
        numbers = iter(values)
        for step, share, named in unread:
            for name, number in zip(named, numbers, strict=False):
                if not abs(number) < EXPLODED:
                    labelled, unlabelled = (", ".join(map(str, ids)) for ids in self.people(step))
                    raise InputError(
                        f"step {step}: {name} is {number:.3g}. Lower the learning rate, or look at this step's people: "
                        f"labelled {labelled}; unlabelled {unlabelled}"
                    )
                self.sums[name] = self.sums.get(name, 0.0) + share * number
            self.sums["n"] = self.sums.get("n", 0) + share
        return self.sums
