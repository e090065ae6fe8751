"""Reading ahead: the same batches, whatever is asked for next, begun before they are asked for."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from semipose.data.loading.batch import Batch
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.data.loading.prefetch import Prefetch, ToGPU
from semipose.utils.errors import InputError


def tensors(batch: Batch) -> list[torch.Tensor]:
    return [*batch.unlabelled, *batch.labelled.crops, *batch.labelled[1:]]


def test_batches_that_are_read_ahead_are_those_of_their_step(pack: CropPack) -> None:
    """Through two epochs in two groups, then from the middle, as a resumed training does."""
    batches = Batches(pack, (32, 32), np.arange(8), np.arange(40), 8, seed=3, groups=2)
    ahead = Prefetch(batches.read, threads=3)
    for step, group in [(step, group) for step in (*range(10), 4, 5, 6, 90) for group in (0, 1)]:
        found, expected = ahead(step, group), batches(step, group=group)
        assert found.step == step
        assert all(torch.equal(one, other) for one, other in zip(tensors(found), tensors(expected), strict=True))


def test_the_next_steps_are_begun_before_they_are_asked_for() -> None:
    begun = [threading.Event() for _ in range(9)]

    def make(step: int, group: int) -> int:
        begun[step].set()
        if step == 5:
            raise InputError("crop 17 has changed")
        return 10 * step + group

    ahead = Prefetch(make, threads=2)
    assert ahead(3, 1) == 31
    assert all(begun[step].wait(10) for step in (4, 5))
    assert not any(begun[step].is_set() for step in (0, 1, 2, 6, 7, 8))
    assert ahead(4, 1) == 41
    with pytest.raises(InputError, match="crop 17 has changed"):
        ahead(5, 1)


def test_every_reader_begins_on_the_gpu_that_it_reads_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that came back to GPU 0 after each batch would open it."""
    begun: set[int] = set()
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: SimpleNamespace(device=device))
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: begun.add(threading.get_ident()) if device.index == 3 else None)
    sent = ToGPU(lambda step, group: step, torch.device("cuda", 3))
    assert sent.prefetch.pool.submit(threading.get_ident).result() in begun
    sent.close()


def test_nothing_is_begun_beyond_the_end_or_kept_when_it_is_over() -> None:
    begun: list[int] = []
    going_on = threading.Event()

    def make(step: int, group: int) -> int:
        begun.append(step)
        assert going_on.wait(10)
        return step

    ahead = Prefetch(make, threads=1, end=4)
    threading.Timer(0.1, going_on.set).start()
    assert ahead(2) == 2
    assert ahead(3) == 3
    assert begun == [2, 3]
    held, tried = threading.Event(), [threading.Event() for _ in range(6)]

    def slow(step: int, group: int) -> int:
        tried[step].set()
        assert step == 0 or held.wait(10)
        return step

    over = Prefetch(slow, threads=2)
    assert over(0) == 0  # begins steps 1 and 2, too, which are held
    assert all(tried[step].wait(10) for step in (1, 2))
    over.pool.submit(tried[5].set)
    threading.Timer(0.2, held.set).start()
    over.close()
    assert not tried[5].is_set(), "what had not begun does not begin any more"
    assert not over.coming
    assert not any(thread in over.pool._threads for thread in threading.enumerate())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs -m gpu, and a GPU")
def test_batches_come_to_the_gpu_as_they_are_read(pack: CropPack) -> None:
    """However long they travel: the stream that brings them is held up before each one."""
    batches = Batches(pack, (32, 32), np.arange(8), np.arange(40), 8, seed=3)

    def slowly(step: int, group: int) -> Batch:
        torch.cuda._sleep(10**8)
        return batches.read(step, group)

    sent = ToGPU(slowly, torch.device("cuda"))
    for step in range(7):
        found, expected = sent(step), batches.read(step)
        assert all(one.is_cuda and torch.equal(one.cpu(), other) for one, other in zip(tensors(found), tensors(expected), strict=True))
