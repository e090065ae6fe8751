"""Steps as CUDA graphs, without a GPU: what is replayed gives the weights of a plain training, to the last bit (graph_stand_in.py)."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from graph_stand_in import Taped, Uncapturable
from lightning_fabric import Fabric
from torch import Generator

from semipose.augment import colour, strong
from semipose.augment.pseudo import PseudoLabels
from semipose.augment.task import Task
from semipose.config.augment import Augmentation
from semipose.config.tree import Params
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.methods import METHODS, Method, build
from semipose.models.network import build as build_network
from semipose.training import graphs
from semipose.training.devices import precision_of
from semipose.training.trainer import Row, fit
from semipose.utils.errors import Stopped

CPU = torch.device("cpu")
EVERYWHERE = {"place": ["input", "layer1", "layer3"]}
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "akm, both branches": ("akm", {"ramp_up_steps": 9, "strong_views": 2, "ema": 0.9, "mixup": {"place": ["layer2"], "branches": "both"}}),
    "akm, random masks": ("akm", {"masking": "random", "average": 0.9, "pseudo_label": "rendered", "mixup": {"weight": 0.3}}),
    "reviewer, best": ("reviewer", {"reviewer": "best"}),
}
CASES = {name: (name, {"mixup": EVERYWHERE} if name == "akm" else {}) for name in METHODS} | OPTIONS
CASES["jointmix"] = "jointmix", {"strong": ["cutout"], "labelled": ["cutout"]}  # colours draw on the host


def apart(generator: Generator) -> Generator:
    """The host draws from a stream of its own, as beside a GPU's generator."""
    return Generator().manual_seed(generator.initial_seed() ^ 1)


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("akm", "jointmix"):
        monkeypatch.setattr(f"semipose.methods.{method}.on_host", apart)
    monkeypatch.setattr(graphs, "on_host", apart)
    monkeypatch.setattr(graphs, "GraphedStep", Taped)
    monkeypatch.setattr(graphs, "WARM_UP", 1)
    Taped.replays = 0


@pytest.fixture
def people(pack: CropPack) -> Batches:
    """Two steps are an epoch."""
    return Batches(pack, (32, 32), np.arange(8), np.arange(8), batch_size=4, seed=3)


def made(case: str, p: Params, task: Task) -> Method:
    name, changes = CASES[case]
    entry = p.method[name]
    if "mixup" in changes:
        changes = changes | {"mixup": entry.mixup.model_copy(update=changes["mixup"])}
    entry = entry.model_copy(update=changes)
    return build([build_network(p.model, 17, seed=k) for k in range(entry.trains)], entry, task.of(entry))


def trained(method: Method, people: Batches, state: Path, graphed: bool, precision: Any = "32-true", **settings: Any) -> list[Row]:
    """Learning rates are numbers that float32 has: a GPU's optimiser reads them so."""
    options = {"steps": 12, "lr": 2**-9, "decay_at": [0.7], "decay": 0.5, "checkpoint_seconds": 1e9} | settings
    fabric = Fabric(accelerator="cpu", devices=1, plugins=precision_of(precision, "cpu"))
    return fit(method, people, fabric, state=state, report=lambda row: None, graphed=graphed, **options)


def same(one: Method, other: Method) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_replayed_steps_are_those_of_a_plain_training(
    case: str, tiny: Params, task: Task, people: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, replayed = made(case, tiny, task), made(case, tiny, task)
    rows = trained(plain, people, tmp_path / "plain", False)
    monkeypatch.setattr(graphs, "possible", lambda *given: True)
    assert trained(replayed, people, tmp_path / "replayed", True) == rows
    assert Taped.replays >= 3
    assert same(plain, replayed)
    assert {row["lr"] for row in rows} == {2**-9, 2**-10}


@pytest.mark.parametrize(("before", "after"), [(True, True), (True, False), (False, True)])
def test_a_training_goes_on_from_steps_of_either_kind(
    before: bool, after: bool, tiny: Params, task: Task, people: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "possible", lambda *given: True)
    whole, cut, resumed = (made("akm, both branches", tiny, task) for _ in range(3))
    rows, asked = trained(whole, people, tmp_path / "whole", False), iter([None] * 6 + ["out of time"])
    with pytest.raises(Stopped):
        trained(cut, people, tmp_path / "cut", before, stop=lambda: next(asked))
    assert trained(resumed, people, tmp_path / "cut", after) == rows
    assert same(whole, resumed)


def test_a_mixed_weight_keeps_its_digits_in_bfloat16(tiny: Params, task: Task, people: Batches, tmp_path: Path, monkeypatch: Any) -> None:
    """Features of eight digits, mixed by a tensor or by a number: rounded alike."""
    monkeypatch.setattr(graphs, "possible", lambda *given: True)
    plain, replayed = (made("akm", tiny, task) for _ in range(2))
    rows = trained(plain, people, tmp_path / "plain", False, "bf16-mixed")
    assert trained(replayed, people, tmp_path / "replayed", True, "bf16-mixed") == rows
    assert same(plain, replayed)


@pytest.mark.parametrize(
    "fault",
    [lambda x: x * float(x.detach().amax()), lambda x: x * torch.tensor([1.0]), lambda x: x[x > -1].view_as(x)],
    ids=["a number of the GPU", "a tensor of the host", "a shape of the GPU"],
)
def test_what_no_graph_can_hold_is_found(fault: Any, tiny: Params, task: Task, people: Batches, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(graphs, "possible", lambda *given: True)
    method = made("supervised", tiny, task)
    method.net.head.register_forward_hook(lambda _, given, heatmaps: fault(heatmaps))
    with pytest.raises(Uncapturable):
        trained(method, people, tmp_path, True)


@pytest.mark.parametrize("name", get_args(Augmentation))
def test_what_draws_on_the_host_is_known(name: str, tiny: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    for module in (strong, colour):
        monkeypatch.setattr(module, "on_host", lambda generator: asked.append(True) or generator)
    pseudo = PseudoLabels(torch.rand(4, 17, 8, 8), 1.0)
    strong.one(name, torch.rand(4, 3, 32, 32), pseudo, tiny.augment, Generator().manual_seed(0))  # type: ignore[arg-type]
    assert bool(asked) == (name in strong.ON_HOST)


def test_why_steps_are_no_graphs_is_said(tiny: Params, task: Task, people: Batches, capsys: pytest.CaptureFixture[str]) -> None:
    posecons = tiny.method["posecons"].model_copy(update={"strong": ["cutout", "yoco"]})
    drawing = build([build_network(tiny.model, 17, seed=0)], posecons, task)
    plain, gpu = made("akm", tiny, task), torch.device("cuda")
    assert graphs.possible(plain, people, gpu)
    assert capsys.readouterr().err == ""
    in_groups = Batches(people.pack, people.size, people.labelled, people.unlabelled, 4, seed=3, groups=2)
    for method, batches, device, why in (
        (plain, people, CPU, "there is no GPU"),
        (plain, in_groups, gpu, "batch_groups"),
        (drawing, people, gpu, "yoco draws on the host"),
    ):
        assert not graphs.possible(method, batches, device)
        assert why in capsys.readouterr().err
