"""What needs a GPU: a step that never waits for it, and figures near those of the CPU. Without one, or without `-m gpu`
(conftest.py), these tests are skipped and say so."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from semipose.augment.strong import ON_HOST
from semipose.augment.task import Task
from semipose.config.tree import Params
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.inference.predict import predict_pack
from semipose.methods import METHODS, build
from semipose.methods.base import Method
from semipose.models.network import build as build_network
from semipose.pose.skeleton import COCO17
from semipose.training.devices import arithmetic, precision_of
from semipose.training.trainer import Row, fit
from semipose.utils.errors import Stopped
from semipose.utils.seeding import generator_of, on_host

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs -m gpu, and a GPU")]

STRENGTHENINGS = [
    "joint_cutout",
    "adaptive_cutout",
    "cut_occlude",
    "keypoint_mix",
    "cutout",
    "cutmix",
    "mixup",
    "rand_augment",
    "trivial_augment",
    "yoco",
    "yoco_trivial",
]


@pytest.fixture
def everything(tiny: Params, demo: Params) -> Params:
    """Every strong augmentation in PoseCons, AKM as it stands in the demo: a moving average, rendered labels, Mixup at every layer."""
    method = tiny.method | {"akm": demo.method["akm"], "posecons": tiny.method["posecons"].model_copy(update={"strong": STRENGTHENINGS})}
    return tiny.model_copy(update={"method": method})


@pytest.fixture(autouse=True, scope="module")
def _workspace() -> Iterator[None]:
    """Of cuBLAS where its results are to be equal; read when it is first used."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUBLAS_WORKSPACE_CONFIG", os.environ.get("CUBLAS_WORKSPACE_CONFIG", ":4096:8"))
        yield


@pytest.fixture(autouse=True)
def _as_before(everything: Params) -> Iterator[None]:
    """Afterwards a wait for the GPU is allowed again, and what computes fast."""
    yield
    torch.cuda.set_sync_debug_mode("default")
    arithmetic(everything.machine, torch.device("cuda"))


def made(name: str, p: Params, pack: CropPack, device: str) -> Method:
    task = Task(COCO17, p.model.height, p.model.width, torch.device(device), p.model.sigma, p.augment)
    return build([build_network(p.model, 17, seed=k) for k in range(p.method[name].trains)], p.method[name], task)


def trained(
    method: str | Method, p: Params, pack: CropPack, folder: Path, device: str, precision: Any = "32-true", **settings: Any
) -> list[Row]:
    """By name, or one that was made."""
    options = {"steps": 10, "lr": 0.001, "decay_at": [], "decay": 1.0, "checkpoint_seconds": 1e9} | settings
    return fit(
        made(method, p, pack, device) if isinstance(method, str) else method,
        Batches(pack, (32, 32), np.arange(8), np.arange(len(pack)), batch_size=8, seed=0),
        Fabric(accelerator=device, devices=1, plugins=precision_of(precision, device)),
        state=folder,
        observe=lambda method, epoch, last: {},
        report=lambda row: None,
        **options,
    )


def without_host_draws(p: Params) -> Params:
    """PoseCons with the strong augmentations that a CUDA graph can hold."""
    strong = [name for name in STRENGTHENINGS if name not in ON_HOST]
    return p.model_copy(update={"method": p.method | {"posecons": p.method["posecons"].model_copy(update={"strong": strong})}})


@pytest.mark.parametrize("name", METHODS)
def test_no_step_waits_for_the_gpu(name: str, everything: Params, pack: CropPack, tmp_path: Path) -> None:
    """Strict from the second step to the last but one: the loop itself, with what it does between steps."""
    steps = iter(range(100))

    def stop() -> None:
        match next(steps):
            case 1:
                torch.cuda.set_sync_debug_mode("error")
            case 8:
                torch.cuda.set_sync_debug_mode("default")

    batches = Batches(pack, (32, 32), np.arange(8), np.arange(len(pack)), batch_size=4, seed=0)  # ten steps in an epoch
    fit(
        made(name, everything, pack, "cuda"),
        batches,
        Fabric(accelerator="cuda", devices=1, plugins=precision_of("bf16-mixed", "cuda")),
        steps=10,
        lr=0.001,
        decay_at=[],
        decay=1.0,
        state=tmp_path,
        checkpoint_seconds=1e9,
        observe=lambda method, epoch, last: {},
        report=lambda row: None,
        stop=stop,
    )


def test_supervised_training_is_that_of_the_cpu(everything: Params, pack: CropPack, tmp_path: Path) -> None:
    """Without draws, which differ between devices, so do losses by rounding alone."""
    weak = everything.augment.weak.model_copy(update={"rotation_probability": 0.0, "scale": 0.0, "flip_probability": 0.0})
    p = everything.model_copy(update={"augment": everything.augment.model_copy(update={"weak": weak})})
    here, there = (trained("supervised", p, pack, tmp_path / device, device) for device in ("cpu", "cuda"))
    half = trained("supervised", p, pack, tmp_path / "half", "cuda", "bf16-mixed")
    for name in ("loss/supervised",):
        expected = [row[name] for row in here]
        assert [row[name] for row in there] == pytest.approx(expected, rel=0.01)
        assert [row[name] for row in half] == pytest.approx(expected, rel=0.05)


def test_poses_are_those_of_the_cpu_and_batches_can_be_read_again(everything: Params, pack: CropPack, tmp_path: Path) -> None:
    """Crops that are sent ahead, seven at a time and five at last; heatmaps of a network that is sure of something."""
    net = build_network(everything.model, 17, seed=0)
    for layer in net.head:
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            torch.nn.init.normal_(layer.weight, std=1.0, generator=torch.Generator().manual_seed(1))
    chosen, size = np.arange(40)[::-1], (everything.model.height, everything.model.width)
    here, there, again = (predict_pack(net.to(device), pack, chosen, size, True, "dark", 7, device) for device in ("cpu", "cuda", "cuda"))
    size_of_it = np.abs(here.confidence).mean()
    assert size_of_it > 0.1, "near zero everything is near everything"
    np.testing.assert_allclose(there.confidence, here.confidence, rtol=0, atol=1e-3 * size_of_it)
    np.testing.assert_allclose(again.confidence, there.confidence, rtol=0, atol=1e-4 * size_of_it)
    assert np.quantile(np.abs(there.points - here.points), 0.95) < 0.05  # where two cells are equally high, rounding decides
    batches = Batches(pack, size, np.arange(8), np.arange(len(pack)), batch_size=8, seed=0)
    first = batches(3, "cuda")
    batches.close()
    assert torch.equal(batches(3, "cuda").unlabelled.pixels, first.unlabelled.pixels)


@pytest.mark.parametrize("name", ["akm", "sspcm"])
def test_deterministic_trainings_are_equal_to_the_bit(name: str, everything: Params, pack: CropPack, tmp_path: Path) -> None:
    """What `machine.deterministic` promises on one GPU: twice the same weights, and those of a training that was stopped half-way."""
    arithmetic(everything.machine.model_copy(update={"deterministic": True}), torch.device("cuda"))
    whole, again = (trained(name, everything, pack, tmp_path / folder, "cuda") for folder in ("whole", "again"))
    asked = iter([None] * 3 + ["out of time"])
    with pytest.raises(Stopped):
        trained(name, everything, pack, tmp_path / "cut", "cuda", stop=lambda: next(asked))
    resumed = trained(name, everything, pack, tmp_path / "cut", "cuda")
    assert whole == again == resumed


@pytest.mark.parametrize("place", ["input", "stem", "layer1", "layer2", "layer3", "layer4"])
def test_steps_as_graphs_are_those_launched_kernel_by_kernel(place: str, everything: Params, pack: CropPack, tmp_path: Path) -> None:
    """AKM with Mixup at one place: three steps as ever, then the graph's; learning rates are numbers that float32 has."""
    arithmetic(everything.machine.model_copy(update={"deterministic": True}), torch.device("cuda"))
    akm = everything.method["akm"]
    akm = akm.model_copy(update={"ramp_up_steps": 12, "mixup": akm.mixup.model_copy(update={"place": [place]})})
    p = everything.model_copy(update={"method": everything.method | {"akm": akm}})
    options: dict[str, Any] = {"steps": 25, "lr": 2**-10, "decay_at": [0.5], "decay": 0.5}
    plain, graphed = (trained("akm", p, pack, tmp_path / str(on), "cuda", graphed=on, **options) for on in (False, True))
    for row, other in zip(graphed, plain, strict=True):
        assert row == pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_graphs(name: str, everything: Params, pack: CropPack, tmp_path: Path) -> None:
    """In bfloat16, on from a checkpoint after six steps, which must not matter; sspcm has other graphs from its second epoch on."""
    arithmetic(everything.machine.model_copy(update={"deterministic": True}), torch.device("cuda"))
    p = without_host_draws(everything)
    options: dict[str, Any] = {"steps": 20, "lr": 2**-10, "precision": "bf16-mixed"}
    plain = trained(name, p, pack, tmp_path / "plain", "cuda", **options)
    asked = iter([None] * 5 + ["out of time"])
    with pytest.raises(Stopped):
        trained(name, p, pack, tmp_path / "graphed", "cuda", graphed=True, stop=lambda: next(asked), **options)
    graphed = trained(name, p, pack, tmp_path / "graphed", "cuda", graphed=True, **options)
    for row, other in zip(graphed, plain, strict=True):
        assert row == pytest.approx(other, rel=0.01)


def test_a_graph_moves_by_the_rate_of_its_step(everything: Params, pack: CropPack, tmp_path: Path) -> None:
    """From the middle on the rate is next to nothing, and the weights stay where they are."""
    arithmetic(everything.machine.model_copy(update={"deterministic": True}), torch.device("cuda"))
    half, whole = (made("supervised", everything, pack, "cuda") for _ in range(2))
    options: dict[str, Any] = {"lr": 2**-8, "decay_at": [0.5], "decay": 1e-9, "graphed": True}
    trained(half, everything, pack, tmp_path / "half", "cuda", steps=20, **(options | {"decay_at": []}))
    trained(whole, everything, pack, tmp_path / "whole", "cuda", steps=40, **options)
    for one, other in zip(whole.parameters(), half.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-5)


def test_a_replayed_step_waits_for_nothing(everything: Params, pack: CropPack, tmp_path: Path) -> None:
    """Strict from the tenth step on: the fourth was captured."""
    steps = iter(range(100))

    def stop() -> None:
        match next(steps):
            case 10:
                torch.cuda.set_sync_debug_mode("error")
            case 13:  # the epoch's losses are read at the end of its fifth step, the fifteenth
                torch.cuda.set_sync_debug_mode("default")

    trained("posecons", without_host_draws(everything), pack, tmp_path, "cuda", steps=20, graphed=True, stop=stop)


def test_draws_of_the_host_belong_to_a_place_in_the_stream_of_the_gpu() -> None:
    first, same = (generator_of(0, "step", 3, "cuda") for _ in range(2))
    begun = torch.rand((), generator=on_host(first))
    assert begun == torch.rand((), generator=on_host(same))
    torch.rand(5, generator=first, device="cuda")
    assert begun != torch.rand((), generator=on_host(first))
    assert begun != torch.rand((), generator=on_host(generator_of(0, "step", 4, "cuda")))


def test_a_compiled_training_is_the_same_but_for_rounding(everything: Params, pack: CropPack, tmp_path: Path) -> None:
    """AKM with Mixup at every layer; equal seeds, so equal draws. The last test here, since it takes longest."""
    plain, compiled = (trained("akm", everything, pack, tmp_path / mode, "cuda", compiled=mode) for mode in ("none", "default"))
    for row, other in zip(compiled, plain, strict=True):
        assert row == pytest.approx(other, rel=0.05)
