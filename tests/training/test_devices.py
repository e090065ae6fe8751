"""How a GPU is told to compute, and how many threads a process has: flags alone, so that no GPU is needed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, pytest_configure
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from torch.backends import cudnn

from semipose.config.tree import Params
from semipose.data.loading.batch import Labelled
from semipose.data.loading.pack import CropPack
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.sources import read_people
from semipose.models.network import evaluating
from semipose.pose.geometry import transform
from semipose.pose.heatmap import STRIDE
from semipose.training.devices import CPU, arithmetic, launch, precision_of


def flags() -> tuple[bool, str, bool, bool, bool]:
    products, strict = torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()
    return cudnn.allow_tf32, products, cudnn.deterministic, cudnn.benchmark, strict


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    tf32, products, deterministic, benchmark, strict = flags()
    yield
    cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = tf32, deterministic, benchmark
    torch.set_float32_matmul_precision(products)
    torch.use_deterministic_algorithms(strict)


@pytest.mark.parametrize(
    ("chosen", "seen"),
    [("", ""), ("not slow", ""), ("not gpu", ""), ("gpu", "3"), ("gpu and not slow", "3")],
)
def test_tests_see_a_gpu_only_where_it_is_asked_for(chosen: str, seen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    config: Any = SimpleNamespace(getoption={"markexpr": chosen}.get)
    pytest_configure(config)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (False, "highest", False, True, False)),
        ({"tf32": True}, (True, "high", False, True, False)),
        ({"deterministic": True}, (False, "highest", True, False, True)),
    ],
)
def test_arithmetic_is_what_the_machine_says(changes: dict[str, bool], expected: tuple[object, ...], tiny: Params) -> None:
    machine, before = tiny.machine.model_copy(update=changes), flags()
    arithmetic(machine, torch.device("cpu"))
    assert flags() == before, "a CPU has no such choice"
    arithmetic(machine, torch.device("cuda"))
    assert flags() == expected


def test_evaluation_never_rounds_to_tf32(tiny: Params) -> None:
    arithmetic(tiny.machine.model_copy(update={"tf32": True}), torch.device("cuda"))
    with evaluating(torch.nn.Identity()):
        assert flags()[:2] == (False, "highest")
    assert flags()[:2] == (True, "high")


BITS = """
import hashlib, sys, torch
from pathlib import Path
from semipose.config.load import load
from semipose.training.devices import launch
machine = load(Path("pipeline/presets/demo.yaml")).machine.model_copy(update={"accelerator": "cpu", "portable": sys.argv[1] == "portable"})
launch(machine, sys.argv[2])
torch.manual_seed(0)
layer = torch.nn.Conv2d(32, 32, 3)
layer(torch.randn(16, 32, 18, 18).to(memory_format=torch.channels_last)).square().sum().backward()
found = layer.weight.grad, torch.randn(1000).exp(), torch.rand(1000).sqrt(), torch.randn(64, 64) @ torch.randn(64, 64)
print(torch.backends.cpu.get_cpu_capability(), *(hashlib.md5(one.numpy().tobytes()).hexdigest() for one in found))
"""


@pytest.mark.skipif(not CPU.exists() or "avx2" not in CPU.read_text().split(), reason="the CPU has no AVX2")
def test_a_portable_training_has_the_bits_of_every_cpu_with_avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    def bits(*how: str) -> str:
        return subprocess.run([sys.executable, "-c", BITS, *how], capture_output=True, text=True, check=True, cwd=ROOT).stdout

    said = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}
    for name in said:
        monkeypatch.delenv(name, raising=False)
    portable, half, all_of_them = bits("portable", "32-true"), bits("portable", "bf16-mixed"), bits("not", "32-true")
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert portable == bits("not", "32-true")
    assert portable.startswith("AVX2 ")
    assert half == all_of_them, "bfloat16 needs newer instructions"


def test_labels_lie_on_their_images_in_bf16(real_data: Path, demo: Params, tmp_path: Path) -> None:
    """Keypoints of real people beside their own image, in heatmap cells: none with our plugin, up to a cell with Fabric's."""
    crop, size = demo.data.crop.model_copy(update={"size": 320, "extent": 1.25}), (256, 192)
    people = read_people("coco", real_data / "coco-mini", "train", 0, None)
    write_pack(people, real_data / "coco-mini", tmp_path / "pack", Recipe(crop.size, crop.padding, crop.extent, 192 / 256), 0, 1)
    pack = CropPack.open(tmp_path / "pack")
    everybody = np.arange(len(pack))
    given = Labelled(pack.read(everybody, size), *pack.points(everybody))
    beside = {}
    for name, plugin in {"ours": precision_of("bf16-mixed", "cpu"), "fabric": MixedPrecision("bf16-mixed", "cpu")}.items():
        seen = plugin.convert_input(given)
        matrices = seen.crops.base.float()  # the image is warped by them in float32, whatever they were rounded to
        cells = (transform(matrices, seen.points.float()) - transform(matrices, given.points)).norm(dim=-1)[given.visible > 0] / STRIDE
        beside[name] = float(cells.quantile(0.95)), float(cells.max())
    print(f"{len(pack)} people, 95 % within and largest, cells: {beside}")
    assert beside["ours"] == (0, 0)
    assert beside["fabric"][1] > 0.2


def test_fabric_does_not_overwrite_the_threads(tiny: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """With several processes it shares the cores out when it begins them."""
    monkeypatch.setattr(Fabric, "launch", lambda self: torch.set_num_threads(3))
    launch(tiny.machine.model_copy(update={"accelerator": "cpu", "threads": 2}), "32-true")
    assert torch.get_num_threads() == 2
