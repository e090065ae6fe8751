"""The warm-up: what decides a network's weights, and that another network's warm-up is not taken for it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.runtime.networks import warmed_up
from pipeline.stages.evaluate import _networks
from semipose.augment.task import Task
from semipose.config.methods import Supervised
from semipose.config.tree import Params
from semipose.data.loading.pack import CropPack
from semipose.models.network import PoseNet, build
from semipose.models.weight_file import network_metadata, save_network
from semipose.pose.skeleton import COCO17, LSP14
from semipose.training.devices import launch
from semipose.training.warmup import warm_up
from semipose.utils.errors import InputError


def warm(
    name: str, tiny: Params, pack: CropPack, task: Task, folder: Path, seed: int = 0, labels: str = "L9"
) -> tuple[PoseNet, list[tuple[dict[str, float], int]]]:
    rows: list[tuple[dict[str, float], int]] = []
    p = tiny.warmup.model_copy(update={"steps": {"L9": 6, "L10": 9, "L0": 0}, "batch_size": 4})
    fabric = launch(tiny.machine, "32-true")
    people = {"pack": pack, "labelled": np.arange(8), "task": task, "labels": labels, "seed": seed, "groups": 1}
    net = warm_up(
        name, tiny.model, p, fabric, **people, state=folder, checkpoint_seconds=1e9, report=lambda row, step: rows.append((row, step))
    )
    return net, rows


def test_name_and_seed_alone_decide(tiny: Params, pack: CropPack, task: Task, tmp_path: Path) -> None:
    (first, rows), (again, _) = warm("net", tiny, pack, task, tmp_path), warm("net", tiny, pack, task, tmp_path)
    (second, _), (other, _) = warm("second", tiny, pack, task, tmp_path), warm("net", tiny, pack, task, tmp_path, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    for different in (second, other):
        assert not any(torch.equal(a, b) for a, b in zip(first.head.parameters(), different.head.parameters(), strict=True))
    begun, elsewhere = (warm(name, tiny, pack, task, tmp_path, labels="L0")[0].head[0].weight for name in ("net", "second"))
    assert not torch.equal(begun, elsewhere), "their random weights differ, not only the order of their people"
    assert [step for _, step in rows] == [2, 4, 6], "8 people in batches of 4 are two steps an epoch; six steps for this budget"
    assert {"net/loss/supervised", "net/epoch"} <= set(rows[0][0])


def test_the_labelled_view_of_the_warm_up_is_not_augmented(tiny: Params, pack: CropPack, task: Task, tmp_path: Path) -> None:
    augmented = task.of(Supervised(base="supervised", labelled=["cutout"]))
    (plain, _), (same, _) = (warm("net", tiny, pack, one, tmp_path) for one in (task, augmented))
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), same.state_dict().values(), strict=True))


def test_a_warm_up_of_another_network_or_skeleton_is_refused(tiny: Params, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    net = build(tiny.model, 17, 1)
    save_network(net, path, network_metadata(tiny.model, COCO17, 1.25))
    taken, _ = warmed_up(path, tiny.model.model_copy(update={"pretrained": True}), COCO17)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), taken.parameters(), strict=True))
    wider = {**tiny.model.options, "channels": [8, 8, 8, 16]}
    for changes, skeleton, said in (
        ({"backbone": "resnet50"}, COCO17, "backbone = resnet18, now it is resnet50"),
        ({"options": wider}, COCO17, "warmed up with options"),
        ({"width": 64}, COCO17, "width = 32, now it is 64"),
        ({}, LSP14, "warmed up with joints"),
    ):
        with pytest.raises(InputError, match=said):
            warmed_up(path, tiny.model.model_copy(update=changes), skeleton)


def test_a_trained_network_of_another_skeleton_is_not_evaluated(tiny: Params, tmp_path: Path) -> None:
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks/names.json").write_text('["net"]')
    save_network(build(tiny.model, 14, 1), tmp_path / "networks/net.safetensors", network_metadata(tiny.model, LSP14, 1.25))
    with pytest.raises(InputError, match=r"networks was trained for the joints of lsp14, but the validation people have .* coco17"):
        _networks(tmp_path, COCO17, torch.device("cpu"))
