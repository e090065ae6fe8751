"""Which people are in which training step, and their random
numbers: pure functions of seed and step.

Nothing is carried from step to step, so a killed run continues from
any step with the same people and random numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator

from semipose.data.loading.batch import Batch, Labelled
from semipose.data.loading.pack import CropPack
from semipose.data.loading.prefetch import ToGPU
from semipose.utils.seeding import stream


@dataclass(frozen=True)
class Batches:
    """Batches of B labelled and B unlabelled people, in `groups` parts of equal size.

    One epoch is one pass over the larger, unlabelled set (methods.md 1.4), in a new random order.
    The remainder of the last batch is left for another epoch.
    Each unlabelled person is paired with a labelled one, sampled uniformly with replacement.
    For a GPU, threads prefetch the batches.
    """

    pack: CropPack
    size: tuple[int, int]  # height and width of the network's input, px
    labelled: NDArray[np.int64]  # positions in the pack
    unlabelled: NDArray[np.int64]  # positions in the pack, or in `unlabelled_pack`
    batch_size: int
    seed: int
    unlabelled_pack: CropPack | None = None
    groups: int = 1
    sent: dict[torch.device, ToGPU[Batch]] = field(default_factory=dict, init=False, repr=False)  # prefetched for a GPU

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch."""
        return max(1, len(self.unlabelled) // self.batch_size)

    def positions(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions in their packs of the step's labelled and unlabelled people."""
        epoch, within = divmod(step, self.per_epoch)
        # A pool smaller than a batch is repeated within the batch.
        unlabelled = np.resize(self._order(epoch)[within * self.batch_size : (within + 1) * self.batch_size], self.batch_size)
        labelled = np.random.default_rng(stream(self.seed, "labelled", step)).choice(self.labelled, self.batch_size)
        return labelled, unlabelled

    def ids(self, step: int) -> tuple[list[int], list[int]]:
        """Annotation ids of the step's labelled and unlabelled people."""
        labelled, unlabelled = self.positions(step)
        return self.pack.people.ids[labelled].tolist(), (self.unlabelled_pack or self.pack).people.ids[unlabelled].tolist()

    def generator_of(self, step: int, group: int, device: torch.device | str = "cpu") -> Generator:
        """The generator for one group of a step."""
        return Generator(device).manual_seed(self.seed_of(step, group))

    def seed_of(self, step: int, group: int = 0) -> int:
        """The seed of that generator."""
        return stream(self.seed, "step" if self.groups == 1 else f"group {group} of step", step)

    def __call__(self, step: int, device: torch.device | str = "cpu", group: int = 0) -> Batch:
        device = torch.device(device)
        if device.type != "cuda":
            return self.read(step, group)
        if device not in self.sent:
            self.sent[device] = ToGPU(self.read, device)
        return self.sent[device](step, group)

    def read(self, step: int, group: int = 0) -> Batch:
        """One group's part of a step's batch, on the CPU."""
        share = self.batch_size // self.groups
        labelled, unlabelled = (positions[group * share : (group + 1) * share] for positions in self.positions(step))
        crops = Labelled(self.pack.read(labelled, self.size), *self.pack.points(labelled))
        return Batch(step, crops, (self.unlabelled_pack or self.pack).read(unlabelled, self.size))

    @cached_property
    def _order(self) -> Callable[[int], NDArray[np.int64]]:
        """The order of an epoch, kept for the last two: shuffling ten million people takes seconds."""
        return lru_cache(2)(lambda epoch: np.random.default_rng(stream(self.seed, "order", epoch)).permutation(self.unlabelled))

    def close(self) -> None:
        """Free the memory of prefetched batches; they are read again if one is asked for."""
        while self.sent:
            self.sent.popitem()[1].close()
