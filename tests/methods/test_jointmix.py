"""JointMix against a naive version: one pass for labelled and mixed people, mixed person by person."""

import copy

import numpy as np
import pytest
import torch
from naive import PEOPLE, check, hard_view, mse
from torch import Tensor

from semipose.augment.task import Task
from semipose.config.methods import JointMix as Entry
from semipose.config.tree import Params
from semipose.data.loading.batch import Batch, Labelled
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack, Crops
from semipose.methods import JointMix, build
from semipose.methods.jointmix import first
from semipose.models.check import check_networks
from semipose.models.network import PoseNet
from semipose.pose.heatmap import decode, encode
from semipose.utils.errors import InputError
from semipose.utils.seeding import generator_of, on_host


def jointmix(demo: Params, net: PoseNet, task: Task, **changes: object) -> JointMix:
    entry = demo.method["jointmix"].model_copy(update={"labelled": ["cutout"], "strong": ["joint_cutout"], "ema": 0.0} | changes)
    entry = Entry.model_validate(entry.model_dump())
    method = build([copy.deepcopy(net)], entry, task.of(entry))
    assert isinstance(method, JointMix)
    return method


@pytest.mark.parametrize(
    ("place", "pseudo_label", "share", "unlabelled"),
    [("input", "rendered", 0.5, 1.0), ("layer2", "raw", 0.5, 0.75), ("input", "rendered", 1.0, 0.75)],
)
def test_the_loss_equals_a_naive_version(
    demo: Params, task: Task, batch: Batch, net: PoseNet, place: str, pseudo_label: str, share: float, unlabelled: float
) -> None:
    shares = {"labelled_share": share, "unlabelled_share": unlabelled}
    method = jointmix(demo, net, task, place=[place], pseudo_label=pseudo_label, lambda_m=1.7, **shares)
    few, many, task = round(share * PEOPLE), round(unlabelled * PEOPLE), method.task
    g = generator_of(7, "step", 0)
    host = on_host(g)
    torch.randint(1, (1,), generator=host)  # the place
    alpha = float(torch.rand((), generator=host, dtype=torch.float64))  # Beta(1, 1) is uniform
    assert 0.05 < alpha < 0.95
    people = batch.labelled
    images, targets, weight = task.labelled(
        Labelled(Crops(people.crops.pixels[:few], people.crops.base[:few]), people.points[:few], people.visible[:few]), g
    )
    easy = task.weak_view(Crops(batch.unlabelled.pixels[:many], batch.unlabelled.base[:many]), g)
    theta = task.strong(many, g)
    with torch.no_grad():
        heatmaps = net(easy)
    strong = hard_view(task, easy, heatmaps, theta, g)
    if pseudo_label == "raw":
        pseudo, sure = task.move_heatmaps(heatmaps, theta), torch.ones(many, 17)
    else:
        points, peak = decode(heatmaps, 4, "dark", task.sigma)
        moved = torch.stack([one @ t[:, :2].T + t[:, 2] for one, t in zip(points, theta, strict=True)])
        pseudo, sure = encode(moved, peak.clamp(0, 1), (8, 8), 4, task.sigma)
    partner = torch.randperm(many, generator=g).tolist()
    assert any(i != j for i, j in enumerate(partner))

    def mixed(x: Tensor) -> Tensor:
        return torch.stack([*x[:few], *(alpha * x[few + i] + (1 - alpha) * x[few + j] for i, j in enumerate(partner))])

    both = torch.cat([images, strong])
    predicted = net(mixed(both)) if place == "input" else net(both, place, mixed)
    first = mse(predicted[few:], pseudo, sure)
    second = mse(predicted[few:], pseudo[partner], sure[partner])
    expected = {
        "supervised": mse(predicted[:few], targets, weight),
        "mixed": 1.7 * (alpha * first + (1 - alpha) * second),
    }
    check(method, batch, expected, [net])


@pytest.mark.parametrize(("share", "used"), [(0.01, 1), (0.25, 1), (0.5, 2), (1.0, 4)])
def test_a_share_of_the_labelled_people_is_used_at_least_one(pack: CropPack, share: float, used: int) -> None:
    people = Batches(pack, (32, 32), np.arange(12), np.arange(12), batch_size=4, seed=3)(0).labelled
    few = first(people, share)
    assert len(few.points) == len(few.visible) == len(few.crops.pixels) == len(few.crops.base) == used
    assert torch.equal(few.points, people.points[:used])
    assert torch.equal(few.crops.pixels, people.crops.pixels[:used])


def test_the_moving_average_teaches(demo: Params, task: Task, batch: Batch, net: PoseNet) -> None:
    method = jointmix(demo, net, task, ema=0.9)
    with torch.no_grad():
        for value in method.net.parameters():
            value.add_(0.5)
    weak = task.weak_view(batch.unlabelled, generator_of(0, "s", 0))
    with torch.no_grad():
        expected = copy.deepcopy(net).train()(weak)
    assert torch.equal(method.pseudo_labels(weak, generator_of(0, "s", 0)).heatmaps, expected)
    method.after_step()
    assert not torch.equal(method.pseudo_labels(weak, generator_of(0, "s", 0)).heatmaps, expected)


def test_a_place_that_the_backbone_lacks_is_refused(demo: Params, tiny: Params) -> None:
    other = tiny.model.model_copy(update={"backbone": "mobilenetv3_small_100", "options": {}, "height": 64, "width": 64})
    p = tiny.model_copy(
        update={
            "model": other.model_copy(update={"head_channels": [16, 16, 16]}),
            "method": {"jointmix": demo.method["jointmix"]},
            "sweep": demo.sweep.model_copy(update={"methods": ["jointmix"]}),
            "ablation": demo.ablation.model_copy(update={"variants": []}),
        }
    )
    check_networks(p)
    few = demo.method["jointmix"].model_copy(update={"place": ["input", "layer9"]})
    with pytest.raises(InputError, match=r"method\.jointmix\.place: layer9 is not a layer of mobilenetv3_small_100"):
        check_networks(p.model_copy(update={"method": {"jointmix": few}}))
