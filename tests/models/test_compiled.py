"""Training through torch.compile: the same losses as without, under the same names of weights."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from semipose.augment.task import Task
from semipose.config.tree import Params
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.methods import Method, build
from semipose.models.compile import compile_networks
from semipose.models.network import build as build_network
from semipose.training.trainer import Row, fit
from semipose.utils.errors import InputError


def trained(tiny: Params, task: Task, pack: CropPack, folder: Path, mode: str) -> tuple[Method, list[Row]]:
    """AKM with Mixup at every layer, a moving average as teacher and a validation in eval mode."""
    entry = tiny.method["akm"].model_copy(update={"ema": 0.9})
    method = build([build_network(tiny.model, 17, seed=0)], entry, task)

    def observe(observed: Method, epoch: int, last: bool) -> Row:
        with torch.no_grad():
            seen = float(observed.net.eval()(torch.ones(3, 3, task.height, task.width)).square().mean())
        observed.net.train()
        return {"seen": seen}

    rows = fit(
        method,
        Batches(pack, (32, 32), np.arange(8), np.arange(16), batch_size=8, seed=0),
        Fabric(accelerator="cpu", devices=1),
        steps=4,
        lr=0.001,
        decay_at=[],
        decay=1.0,
        state=folder,
        checkpoint_seconds=1e9,
        observe=observe,
        report=lambda row: None,
        compiled=mode,  # type: ignore[arg-type]
    )
    return method, rows


@pytest.mark.slow
def test_a_compiled_training_is_the_same_but_for_rounding(
    tiny: Params, task: Task, pack: CropPack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captured, with its backward pass, as for real; but C++ is not made of it, which takes a minute (test_gpu.py has the whole)."""
    monkeypatch.setenv("CXX", sys.executable)  # a program that is there
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    torch._dynamo.utils.counters.clear()
    (plain, expected), (compiled, rows) = (trained(tiny, task, pack, tmp_path / mode, mode) for mode in ("none", "default"))
    for row, other in zip(rows, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-3)
    assert list(plain.state_dict()) == list(compiled.state_dict())
    counters = torch._dynamo.utils.counters
    assert counters["stats"]["unique_graphs"] >= 6, "every part was compiled"
    assert not counters["graph_break"]


def test_a_machine_without_a_compiler_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(InputError, match=r"machine.compile: default needs a compiler; install g\+\+"):
        compile_networks(torch.nn.Identity(), "default", torch.device("cpu"))
    compile_networks(torch.nn.Identity(), "none", torch.device("cpu"))
