"""Out of GPU memory: the error itself is raised by what stands for a GPU of a certain size; what is made of it is under test."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Generator, Tensor

from semipose.augment.task import Task
from semipose.config.methods import Supervised as Entry
from semipose.config.tree import Params
from semipose.data.annotations import annotations_of
from semipose.data.loading.batch import Batch
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.evaluation.evaluate import evaluate
from semipose.methods.base import Losses
from semipose.methods.supervised import Supervised
from semipose.models.network import PoseNet, build
from semipose.training.trainer import fit
from semipose.utils.errors import InputError
from semipose.utils.memory import enough_memory, largest


class Cramped(Supervised):
    """Has room for so many people, and for fewer from the third step on."""

    room = 99

    def forward(self, batch: Batch, generator: Generator) -> Losses:
        if len(batch.labelled.visible) > self.room or (batch.step > 1 and len(batch.labelled.visible) > self.room - 2):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB")
        return super().forward(batch, generator)


@pytest.mark.parametrize(
    ("room", "groups", "message"),
    [
        (9, 1, r"8 people at once do not fit into the GPU's memory, 7 do: set batch_size .* to 7 instead of 8, .*allocate 2\.00 GiB"),
        (5, 1, r"8 people at once .*, 5 do: set batch_size \(.*\) to 5 instead of 8, or raise train\.groups from 1"),
        (3, 2, r"4 people at once .*, 3 do: set batch_size \(.*\) to 6 instead of 8, or raise train\.groups from 2"),
        (2, 1, r"8 people at once .*, 2 do: set batch_size \(.*\) to 2 instead of 8"),
        (1, 1, "not even 2 people at once fit"),  # batch norm takes two
        (0, 1, "not even 2 people at once fit"),
    ],
)  # fmt: skip
def test_a_training_names_the_batch_that_fits(
    tiny: Params, task: Task, pack: CropPack, tmp_path: Path, room: int, groups: int, message: str
) -> None:
    method = Cramped([build(tiny.model, 17, 0)], Entry(base="supervised"), task)
    method.room = room
    batches = Batches(pack, (32, 32), np.arange(16), np.arange(16), batch_size=8, seed=0, groups=groups)
    with pytest.raises(InputError, match=message):
        fit(
            method, batches, Fabric(accelerator="cpu", devices=1), steps=4, lr=0.01, decay_at=[], decay=1.0, state=tmp_path,
            checkpoint_seconds=1e9, observe=lambda *of: {}, report=lambda row: None,
        )  # fmt: skip


class Narrow(torch.nn.Module):
    """A network that has room for three images."""

    def __init__(self, net: PoseNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.net(images)


def test_an_evaluation_names_the_batch_that_fits(tiny: Params, task: Task, pack: CropPack) -> None:
    with pytest.raises(InputError, match=r"64 people at once .*, 3 do: set evaluate\.batch_size to 3"):
        evaluate(Narrow(build(tiny.model, 17, 0)), task, pack, annotations_of(pack.people), tiny.evaluate)


def test_the_largest_that_fits_is_found() -> None:
    for size in range(1, 20):
        for room in range(size):
            assert largest(lambda number, room=room: number <= room, size) == room
    assert largest(lambda number: number >= 2, 9, fewest=2) == 8, "one alone is not tried"
    assert largest(lambda number: False, 9, fewest=2) == 1


def test_other_errors_and_results_pass_through() -> None:
    with pytest.raises(ZeroDivisionError), enough_memory(4, lambda people: None, str):
        raise ZeroDivisionError
    with enough_memory(4, lambda people: None, str):
        found = Tensor([1])
    assert found == 1
