"""A device whose memory is full: one message that says what to lower."""

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
from semipose.models.network import build
from semipose.training.trainer import fit
from semipose.utils.errors import InputError
from semipose.utils.memory import enough_memory


class Cramped(Supervised):
    def forward(self, batch: Batch, generator: Generator) -> Losses:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB")


def test_a_training_names_the_keys_to_change(tiny: Params, task: Task, pack: CropPack, tmp_path: Path) -> None:
    method = Cramped([build(tiny.model, 17, 0)], Entry(base="supervised"), task)
    batches = Batches(pack, (32, 32), np.arange(16), np.arange(16), batch_size=8, seed=0, groups=2)
    message = r"memory is full: lower batch_size .* from 8, or raise train\.batch_groups from 2: .*allocate 2\.00 GiB"
    with pytest.raises(InputError, match=message):
        fit(
            method, batches, Fabric(accelerator="cpu", devices=1), steps=4, lr=0.01, decay_at=[], decay=1.0, state=tmp_path,
            checkpoint_seconds=1e9, observe=lambda *of: {}, report=lambda row: None,
        )  # fmt: skip


class Narrow(torch.nn.Linear):
    """A network for which no image is small enough."""

    def forward(self, images: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_an_evaluation_names_the_key_to_change(tiny: Params, task: Task, pack: CropPack) -> None:
    with pytest.raises(InputError, match=r"memory is full: lower evaluate\.batch_size from 64"):
        evaluate(Narrow(1, 1), task, pack, annotations_of(pack.people), tiny.evaluate)


@pytest.mark.parametrize(
    "said",
    [
        "NCCL error: unhandled cuda error. Cuda failure 2 'out of memory'",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "FIND was unable to find an engine to execute this computation",
    ],
)
def test_errors_of_every_library_count(said: str) -> None:
    with pytest.raises(InputError, match="memory is full: wait"), enough_memory("wait"):
        raise RuntimeError(said)


def test_other_errors_pass_through() -> None:
    with pytest.raises(RuntimeError, match="shapes"), enough_memory("wait"):
        raise RuntimeError("shapes differ")
