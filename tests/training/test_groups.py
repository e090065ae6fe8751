"""BatchGroups of a step: shared out to processes they give the weights of one process; each has draws and statistics of its own."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from together import METHODS, begun, trained
from torch import nn

from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.training.devices import take
from semipose.training.groups import BatchGroups
from semipose.utils.errors import InputError

HERE = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What two processes have left of each training, over gloo, and what they said."""
    folder, command = tmp_path_factory.mktemp("two"), [sys.executable, str(HERE / "together.py")]
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE")}
    environment["PYTHONPATH"] = str(HERE.parent)
    done = subprocess.run([*command, str(folder)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process has left."""
    folder = tmp_path_factory.mktemp("one")
    for method in METHODS:
        trained(begun(1), folder / method, method)
    return folder


def loaded(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(out, weights_only=True)
    return content


def assert_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Losses, weights and batch-norm statistics."""
    for row, other in zip(one["rows"], two["rows"], strict=True):
        assert row == pytest.approx(other, rel=1e-5)
    for name, value in one["weights"].items():
        torch.testing.assert_close(value, two["weights"][name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_two_processes_end_with_the_weights_of_one(method: str, one: Path, two: tuple[Path, str]) -> None:
    """And share out what they predict."""
    alone, together = loaded(one / method), loaded(two[0] / method)
    assert_same(alone, together)
    assert alone["rows"][-1]["observed"] == 3
    torch.testing.assert_close(alone["points"], together["points"], rtol=0, atol=1e-3)


@pytest.mark.slow
def test_stopped_in_two_processes_and_gone_on_in_one(one: Path, two: tuple[Path, str]) -> None:
    """One of the two is asked to stop: both do when they ask each other next, and one process alone goes on from their checkpoint."""
    folder, said = two
    assert "cut, rank 1: out of time: a checkpoint was left after step 4 of 8" in said
    assert "cut, rank 0: another process was asked to stop: a checkpoint was left after step 4 of 8" in said
    trained(begun(1), folder / "cut")
    cut = loaded(folder / "cut")
    assert [row["step"] for row in cut["rows"]] == [3, 6, 8]
    assert_same(loaded(one / "akm"), cut)


@pytest.mark.slow
def test_a_loss_that_is_no_number_in_one_process_ends_all_of_them_by_its_step(two: tuple[Path, str]) -> None:
    """A step later the others have the weights that it spoilt; this one is the last of an epoch, so that the others have not come to it."""
    for rank in range(2):  # their lines may run into each other
        assert f"spoilt, rank {rank}: step 2: loss/supervised is nan. Lower the learning rate" in two[1]


def test_groups_part_the_batch_and_draw_for_themselves(pack: CropPack) -> None:
    whole = Batches(pack, (32, 32), np.arange(8), np.arange(40), batch_size=8, seed=1)
    parted = Batches(pack, (32, 32), np.arange(8), np.arange(40), batch_size=8, seed=1, groups=2)
    parts = [parted(3, group=group) for group in range(2)]
    for field in ("points", "visible"):
        together = torch.cat([getattr(part.labelled, field) for part in parts])
        assert torch.equal(together, getattr(whole(3).labelled, field))
    for field in ("pixels", "base"):
        for people in (lambda batch: batch.labelled.crops, lambda batch: batch.unlabelled):
            assert torch.equal(torch.cat([getattr(people(part), field) for part in parts]), getattr(people(whole(3)), field))
    first, second = (torch.rand(4, generator=parted.generator_of(3, group)) for group in range(2))
    assert not torch.equal(first, second)


def test_statistics_are_the_mean_of_what_each_group_makes_of_them() -> None:
    norm = nn.BatchNorm1d(2)
    data = torch.randn(3, 10, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 2.0, 5.0])[:, None, None]
    alone = []
    for part in data:
        other = nn.BatchNorm1d(2)
        other(part)
        alone.append(other.running_var)
    groups = BatchGroups(3, norm, Fabric(accelerator="cpu", devices=1))
    with groups.averaged_statistics() as of_group:
        for group in groups.mine:
            with of_group():
                norm(data[group])
    torch.testing.assert_close(norm.running_var, torch.stack(alone).mean(0))  # type: ignore[arg-type]


def test_groups_that_cannot_be_shared_out_are_refused() -> None:
    class Three:
        world_size, global_rank = 3, 0

    with pytest.raises(InputError, match=r"train\.batch_groups = 2 cannot be split evenly over 3 processes"):
        BatchGroups(2, nn.Identity(), Three())  # type: ignore[arg-type]


def hold_a_gpu(said: Connection) -> None:
    said.send(take(3))
    said.recv()


def test_trainings_on_one_machine_take_different_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes beside each other; one that dies gives its GPU back; if all are taken, each is shared by two before one is by three."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def begin() -> tuple[multiprocessing.process.BaseProcess, int]:
        said, told = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=hold_a_gpu, args=(told,))
        process.start()
        return process, said.recv()

    running = [begin() for _ in range(7)]
    try:
        assert [number for _, number in running] == [0, 1, 2, 0, 1, 2, 0]
        running[1][0].kill()
        running[1][0].join()
        running.append(begin())
        assert running[-1][1] == 1
    finally:
        for process, _ in running:
            process.kill()
            process.join()
