"""What a step asks of a GPU, found out without one: nothing that it would refuse or wait for, and few operations."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from gpu_stand_in import GPU, GPUGenerator, Misplaced, StandIn, moved, stand_in
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from semipose.augment.task import Task
from semipose.config.load import load
from semipose.config.tree import Params
from semipose.data.loading.batch import Batch
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.data.loading.prefetch import each
from semipose.methods import METHODS, Method, build
from semipose.models.network import build as build_network
from semipose.pose.skeleton import COCO17
from semipose.training import graphs
from semipose.training.checkpoint import Writer
from semipose.training.groups import BatchGroups
from semipose.training.loss_log import LossLog
from semipose.training.trainer import Training, adam

ROOT = Path(__file__).parent.parent.parent
STRONG = ["joint_cutout", "adaptive_cutout", "cut_occlude", "keypoint_mix", "cutout", "cutmix", "mixup", "rand_augment", "trivial_augment"]
STRONG += ["yoco", "yoco_trivial"]
BUGS = {"clamp": True, "channels": True, "shear": True, "half_cell": True, "transposed": True}
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "akm, simple joints": ("akm", {"joints": "simple", "masking": "shuffled", "response": "relative", "second_view": "shared"}),
    "akm, random masks": ("akm", {"masking": "random", "pseudo_label": "raw", "teacher_bn": "eval", "ramp_up_steps": 5}),
    "akm, fixed masks": ("akm", {"masking": "fixed", "ema": 0.0, "count": "inferred", "response": "relative_max"}),
    "akm, two mixed views": ("akm", {"strong_views": 2, "mixup": {"branches": "both", "weight": 0.3, "view": "weak"}, "average": 0.9}),
    "akm, agreement": ("akm", {"masking": "none", "confidence": "agreement", "strong": ["cutout", "keypoint_mix"]}),
    "akm, no Mixup": ("akm", {"mixup": {"place": ["none"]}}),
    "akm, two groups": ("akm", {}),
    "posecons, strong": ("posecons", {"strong": STRONG, "pseudo_label": "rendered", "ema": 0.9}),
    "posedual, ema": ("posedual", {"ema": 0.9}),
    "sspcm, first epoch": ("sspcm", {}),
    "sspcm, position": ("sspcm", {"position": 0.5, "ema": 0.9}),
    "multiaugs, dual": ("multiaugs", {"dual": True, "ema": 0.9}),
    "denoise_select, cross": ("denoise_select", {"select": "cross", "uncertainty": "cross", "ema": 0.9}),
    "reviewer, epoch": ("reviewer", {"reviewer": "epoch"}),
    "reviewer, best": ("reviewer", {"reviewer": "best"}),
    "jointmix, cutout": ("jointmix", {"strong": ["cutout", "joint_cutout"], "labelled": ["cutout"], "pseudo_label": "raw"}),
}
CASES = {name: (name, {}) for name in METHODS} | OPTIONS
WHERE = {"sspcm, first epoch": {"epoch": 1}, "akm, two groups": {"groups": 2}}


class Step:
    """A step of the training loop, with the people of one batch, on the CPU or on the GPU that is not there."""

    def __init__(
        self, name: str, changes: dict[str, Any], p: Params, pack: CropPack, device: torch.device, groups: int = 1, epoch: int = 2
    ) -> None:
        entry = p.method[name]
        if "mixup" in changes:
            changes = changes | {"mixup": entry.mixup.model_copy(update=changes["mixup"])}
        entry = type(entry).model_validate(entry.model_copy(update=changes).model_dump())
        task = Task(COCO17, 32, 32, device, 1.0, p.augment).of(entry)
        self.method: Method = build([build_network(p.model, 17, seed=k) for k in range(entry.trains)], entry, task)
        self.batches = Batches(pack, (32, 32), np.arange(8), np.arange(len(pack)), batch_size=4 * groups, seed=1, groups=groups)
        self.device, self.batch = device, self.batches.read(1)
        if epoch > 1:
            self.method.after_epoch()
        self.begin()

    def begin(self) -> None:
        """The loop as `fit` makes it, but for what wraps the method."""
        self.optimiser = adam(self.method, 1e-3)
        fabric: Any = SimpleNamespace(
            device=self.device, world_size=1, global_rank=0, backward=Tensor.backward, no_backward_sync=lambda *_, enabled: nullcontext()
        )
        groups, log, writer = BatchGroups(self.batches.groups, self.method, fabric), LossLog(self.batches.ids), Writer(Path(), 1e9)
        wrapped, batches = cast(Any, self.method), cast(Any, OneBatch(self.batch, self.batches))
        self.loop = Training(self.method, wrapped, self.optimiser, batches, fabric, groups, log, 9, writer)

    def send(self) -> None:
        """Everything to the GPU that is not there."""
        moved(self.method)
        self.batch = each(self.batch, lambda one: torch.empty_like(one, device=GPU))
        self.begin()

    def __call__(self) -> None:
        self.loop.by_groups(1, 1e-3)


class OneBatch:
    """Batches that are always the same people, who lie on the device already."""

    def __init__(self, batch: Batch, batches: Batches) -> None:
        self.batch, self.batches = batch, batches

    def __call__(self, step: int, device: torch.device, group: int) -> Batch:
        return self.batch

    def generator_of(self, step: int, group: int, device: torch.device) -> torch.Generator:
        return GPUGenerator() if device == GPU else self.batches.generator_of(step, group)


@pytest.fixture
def known(tiny: Params, demo: Params) -> Params:
    """AKM as it stands in the demo: a moving average, rendered labels, Mixup at every layer."""
    return tiny.model_copy(update={"method": demo.method})


@pytest.mark.parametrize("case", CASES)
def test_no_step_mixes_devices_or_waits(case: str, known: Params, pack: CropPack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a plain step nor one that is captured as a CUDA graph (graphs.py): it has its numbers in tensors, and a generator of which
    the host knows nothing. A step before them makes what is kept on the device."""
    step = Step(*CASES[case], known, pack, GPU, **WHERE.get(case, {}))
    decided = list(step.method.decisions(1, torch.Generator()))
    with stand_in():
        step.send()
        with StandIn(copies=True):
            step()
        with StandIn():
            step()
        if case in ("posecons, strong", "jointmix", "akm, two groups"):  # which are no graphs (graphs.possible)
            return
        monkeypatch.setattr(graphs, "Generator", lambda device: GPUGenerator())
        monkeypatch.setattr(GPUGenerator, "captured", True)
        rate: Any = torch.empty((), device=GPU)
        step.optimiser.param_groups[0].update(lr=rate, capturable=True)
        fabric: Any = SimpleNamespace(device=GPU, backward=Tensor.backward)
        graphed = graphs.GraphedStep(step.method, step.method, step.optimiser, step.batches, fabric, rate)  # type: ignore[arg-type]
        with StandIn(copies=True):
            graphed.lay_down(step.batch, [one for one in decided if isinstance(one, float)])
        with StandIn():
            result = graphed.work(decided)
    assert len(result.values) == len(result.terms) + len(result.measures)


def test_released_bugs_neither(known: Params, pack: CropPack) -> None:
    bugs = known.augment.reference_bugs.model_copy(update=BUGS)
    p = known.model_copy(update={"augment": known.augment.model_copy(update={"reference_bugs": bugs})})
    step = Step("posecons", {"strong": STRONG}, p, pack, GPU)
    with stand_in():
        step.send()
        with StandIn(copies=True):
            step()
        with StandIn():
            step()


def test_a_wait_of_the_loop_itself_is_found(known: Params, pack: CropPack, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Step("akm", {}, known, pack, GPU)
    monkeypatch.setattr(step.method, "after_step", lambda: float(next(step.method.parameters()).detach().sum()))
    with stand_in():
        step.send()
        with pytest.raises(Misplaced, match="waits for what the GPU finds"), StandIn(copies=True):
            step()


def _of_another_device(count: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, device=GPU, generator=torch.Generator())


@pytest.mark.parametrize(
    ("place", "fault", "message"),
    [
        ("semipose.augment.mixing.partner", lambda n, generator: torch.randperm(n), "indices|copy between"),
        (
            "semipose.augment.mixing.partner",
            _of_another_device,
            "generator of the CPU",
        ),
        (
            "semipose.methods.akm.adaptive_count",
            lambda maps, simple, p: simple.sum(1) * int(maps.amax()),
            "waits for what the GPU finds",
        ),
        ("semipose.pose.geometry.steps", lambda count, device: torch.arange(count).float(), "two devices"),
    ],
)
def test_a_fault_in_a_step_is_found(place: str, fault: Any, message: str, known: Params, pack: CropPack, monkeypatch: Any) -> None:
    step = Step("akm", {}, known, pack, GPU)
    with stand_in():
        step.send()
        with StandIn(copies=True):
            step()
        monkeypatch.setattr(place, fault)
        with pytest.raises(Misplaced, match=message), StandIn():
            step()


FAULTS: dict[str, Callable[[Tensor], Any]] = {
    "two devices": lambda x: x + torch.ones(3, 4),
    "two devices, indices": lambda x: x.gather(0, torch.zeros(1, 4, dtype=torch.long)),
    "generator of the CPU": lambda x: torch.rand(3, device=x.device, generator=torch.Generator()),
    "generator of the GPU": lambda x: torch.rand(3, generator=GPUGenerator()),
    "copy, cpu": lambda x: x.cpu(),
    "copy, to": lambda x: torch.ones(3).to(x.device),
    "copy, tensor": lambda x: torch.tensor([1, 2], device=x.device),
    "copy, copy_": lambda x: x.copy_(torch.ones(3, 4)),
    "copy, list": lambda x: x[[0, 1]],
    "waits for what, item": lambda x: x.sum().item(),
    "waits for what, float": lambda x: float(x.sum()),
    "waits for what, if": lambda x: 1 if (x > 0).any() else 0,
    "waits for what, tolist": lambda x: x[0, 0].tolist(),
    "waits for what, nonzero": lambda x: x.nonzero(),
    "waits for what, mask": lambda x: x[x > 0],
    "waits for what, masked_select": lambda x: x.masked_select(x > 0),
    "waits for what, unique": lambda x: x.unique(),
    "waits for what, equal": lambda x: torch.equal(x, x),
}


class Backwards(torch.autograd.Function):
    """What passes on, and has a fault on the way back."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, fault: Callable[[Tensor], Any]) -> Tensor:
        ctx.fault = fault
        return maps.view_as(maps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        ctx.fault(gradient)
        return gradient, None


@pytest.mark.parametrize("way", ["forward", "backward"])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda x: x * torch.ones(8), "two devices"),
        (lambda x: torch.rand(x.shape, device=x.device, generator=torch.Generator()), "generator of the CPU"),
        (lambda x: x * float(x.amax()), "waits for what the GPU finds"),
        (lambda x: x.cpu(), "copy between"),
    ],
    ids=["device", "generator", "wait", "copy"],
)
def test_a_fault_is_found_on_the_way_there_and_back(way: str, fault: Any, message: str, known: Params, pack: CropPack) -> None:
    """In the network's last layer."""
    step = Step("akm", {}, known, pack, GPU)
    with stand_in():
        step.send()
        with StandIn(copies=True):
            step()
        there = lambda maps: (fault(maps.detach()), maps)[1]  # noqa: E731
        changed = there if way == "forward" else lambda maps: Backwards.apply(maps, fault)
        step.method.net.head.register_forward_hook(lambda _, given, maps: changed(maps))
        with pytest.raises(Misplaced, match=message), StandIn():
            step()


@pytest.mark.parametrize("fault", FAULTS)
def test_every_kind_of_fault_is_found(fault: str) -> None:
    with stand_in():
        x = torch.empty(3, 4, device=GPU)
        with pytest.raises(Misplaced, match=fault.split(",")[0].replace("copy", "copy between")), StandIn():
            FAULTS[fault](x)


def test_what_a_gpu_allows_is_no_fault() -> None:
    with stand_in(), StandIn():
        x = torch.rand(3, 4, device=GPU, generator=GPUGenerator())
        assert float(torch.rand((), generator=torch.Generator())) < 1
        index = torch.tensor([0, 2]).to(GPU, non_blocking=True)
        assert (x[index] * torch.tensor(2.0)).device == GPU


class Operations(TorchDispatchMode):
    """Counts what would be a kernel on a GPU: all but views and empty tensors."""

    number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        view = any(one.alias_info and not one.alias_info.is_write for one in func._schema.returns)
        self.number += not view and "empty" not in str(func) and func is not torch.ops.aten.detach.default
        return func(*args, **(kwargs or {}))


# Of networks with one block a stage, from the second step on. Before views, masks, targets and losses were fused: 252, 1303, 762, 1305,
# 2162, 1791, 815 and 1352.
AT_MOST = {
    "supervised": 188,
    "akm": 898,
    "posecons": 548,
    "posedual": 972,
    "sspcm": 1732,
    "multiaugs": 1397,
    "pseudopose": 576,
    "datadistill": 856,
    "denoise_select": 1873,
    "reviewer": 886,
    "jointmix": 604,
}


OF_COCO = {"supervised": 232, "akm": 1022}  # of the ResNet-18 and the settings of the preset


def operations(name: str, p: Params, pack: CropPack) -> int:
    step = Step(name, {}, p, pack, torch.device("cpu"))
    step()
    with Operations() as found:
        step()
    return found.number


@pytest.mark.parametrize("name", METHODS)
def test_a_step_takes_few_operations(name: str, known: Params, pack: CropPack) -> None:
    """On a GPU each is launched by itself, in about the time that most of them take."""
    assert operations(name, known, pack) <= AT_MOST[name]


@pytest.mark.parametrize("name", OF_COCO)
def test_so_does_a_step_of_coco(name: str, pack: CropPack) -> None:
    """Of small crops, which the operations do not depend on."""
    p = load(ROOT / "pipeline/presets/coco.yaml")
    model = p.model.model_copy(update={"height": 32, "width": 32, "pretrained": False})
    assert operations(name, p.model_copy(update={"model": model}), pack) <= OF_COCO[name]


def test_the_page_about_gpus_has_these_numbers() -> None:
    rows = [line.strip("|").split("|") for line in (ROOT / "docs/gpu.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    table = [[cell.strip().replace(",", "") for cell in row] for row in rows if len(row) == len(AT_MOST) + 1]
    names, *numbers = table[0]
    found = {row[0]: dict(zip(numbers, row[1:], strict=True)) for row in table}
    assert names == "operations per step"
    assert found["now"] == {name: str(number) for name, number in AT_MOST.items()}
    assert {name: int(number) for name, number in found["now in `coco`"].items() if number.isdigit()} == OF_COCO
