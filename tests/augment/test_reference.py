"""The released methods against naive versions: losses and gradients written out from the papers, people and joints in loops.

Views, warps and patches are those of the library; test_augment.py, test_geometry.py and test_occlusion.py compare them with loops."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from naive import PEOPLE, argmax_point, check, hard_view, made, mse, nets_of
from torch import Tensor

from semipose.augment import strong
from semipose.augment.pseudo import PseudoLabels
from semipose.augment.task import Task
from semipose.augment.views import sheared
from semipose.config.tree import Params
from semipose.data.loading.batch import Batch
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.methods import AKM
from semipose.methods.sspcm import least_inconsistent, position_mask, score_mask
from semipose.models.network import PoseNet
from semipose.pose.geometry import similarity, transform
from semipose.pose.heatmap import decode
from semipose.training.cost import step_cost
from semipose.utils.seeding import generator_of

PATHS = [["cut_occlude", "cutout"], ["joint_cutout", "cutmix"], ["joint_cutout"], ["cut_occlude"]]  # JOCO, JCCM, JC, JO (methods.md 3.5)


@pytest.fixture
def nets(tiny: Params) -> list[PoseNet]:
    return nets_of(tiny)


@pytest.fixture
def batch(pack: CropPack) -> Batch:
    everybody = np.arange(len(pack))
    return Batches(pack, (32, 32), everybody[:12], everybody, batch_size=PEOPLE, seed=3)(0)


def test_posecons(tiny: Params, task: Task, batch: Batch, nets: list[PoseNet]) -> None:
    method = made(tiny, "posecons", nets, task, lambda_u=0.7)
    f, g = nets[0], generator_of(7, "step", 0)
    images, targets, weight = task.labelled(batch.labelled, g)
    loss_l = mse(f(images), targets, weight)
    easy = task.view(batch.unlabelled.pixels, task.weak(batch.unlabelled, g)[0])
    heatmaps = f(easy).detach()
    theta = task.strong(PEOPLE, g)
    hard = hard_view(task, easy, heatmaps, theta, g)
    loss_u = mse(f(hard), task.move_heatmaps(heatmaps, theta), torch.ones(PEOPLE, 17))
    check(method, batch, {"supervised": loss_l, "unsupervised": 0.7 * loss_u}, nets[:1])


def test_posedual(tiny: Params, task: Task, batch: Batch, nets: list[PoseNet]) -> None:
    method = made(tiny, "posedual", nets, task)
    (f1, f2), g = nets[:2], generator_of(7, "step", 0)
    images, targets, weight = task.labelled(batch.labelled, g)
    loss_l = 0.5 * mse(f1(images), targets, weight) + 0.5 * mse(f2(images), targets, weight)
    easy = task.view(batch.unlabelled.pixels, task.weak(batch.unlabelled, g)[0])
    one, two = f1(easy).detach(), f2(easy).detach()
    theta, sure = task.strong(PEOPLE, g), torch.ones(PEOPLE, 17)
    hard1 = hard_view(task, easy, two, theta, g)
    hard2 = hard_view(task, easy, one, theta, g)
    expected = {
        "supervised": loss_l,
        "net1": mse(f1(hard1), task.move_heatmaps(two, theta), sure),
        "net2": mse(f2(hard2), task.move_heatmaps(one, theta), sure),
    }
    check(method, batch, expected, nets[:2])


@pytest.mark.parametrize("epoch", [0, 1])
def test_sspcm(tiny: Params, task: Task, batch: Batch, nets: list[PoseNet], epoch: int) -> None:
    method = made(tiny, "sspcm", nets, task, score=0.4, position=0.5)
    student, a_net, b_net = nets  # the method's networks, in its order
    old_a, old_b = (copy.deepcopy(net) for net in (a_net, b_net))
    if epoch:
        method.after_epoch()
        with torch.no_grad():  # the networks moved on since then
            for net in (a_net, b_net):
                for value in net.parameters():
                    value.mul_(1.1)
            for net, moved in zip((method.networks["teacher1"], method.networks["teacher2"]), (a_net, b_net), strict=True):
                net.load_state_dict(moved.state_dict())
    g = generator_of(7, "step", 0)
    images, targets, weight = task.labelled(batch.labelled, g)
    loss_l = sum(0.5 * mse(net(images), targets, weight) for net in (a_net, b_net, student))
    easy = task.view(batch.unlabelled.pixels, task.weak(batch.unlabelled, g)[0])
    a, b = a_net(easy).detach(), b_net(easy).detach()
    corrected, sure, near = torch.empty_like(a), torch.zeros(PEOPLE, 17), torch.zeros(PEOPLE, 17)
    before_a, before_b = old_a(easy).detach(), old_b(easy).detach()
    for i in range(PEOPLE):
        for j in range(17):
            pairs = [(a, b), (before_a, b), (a, before_b), (before_a, before_b)]
            distances = [math.dist(argmax_point(p[i, j]), argmax_point(q[i, j])) for p, q in pairs]
            p, q = pairs[min(range(4), key=lambda k: distances[k])] if epoch else (a, b)
            corrected[i, j] = 0.5 * (p[i, j] + q[i, j])
            sure[i, j] = float((float(a[i, j].max()) + float(b[i, j].max())) / 2 > 0.4)
            near[i, j] = float(min(distances[0], math.hypot(8, 8) - 1) / math.hypot(8, 8) < 0.5)
    assert 0 < sure.mean() < 1
    assert 0 < near.mean() < 1
    theta = task.strong(PEOPLE, g)
    expected = {"supervised": loss_l}
    for name, net, heatmaps, kept in (
        ("teacher1", a_net, b, sure),
        ("teacher2", b_net, a, sure),
        ("student", student, corrected, sure * near),
    ):
        hard = hard_view(task, easy, heatmaps, theta, g, ["cut_occlude"])
        expected[name] = mse(net(hard), task.move_heatmaps(heatmaps, theta), kept)
    check(method, batch, expected, [student, a_net, b_net])


def bump(x: int, y: int, height: float = 1.0) -> Tensor:
    heatmap = torch.zeros(1, 1, 12, 9)
    heatmap[0, 0, y, x] = height
    return heatmap


def test_sspcm_believes_the_least_inconsistent_of_four() -> None:
    a, b, old_a, old_b = bump(1, 1), bump(7, 9), bump(6, 9), bump(0, 11)
    assert torch.equal(least_inconsistent(a, b, old_a, old_b), 0.5 * (old_a + b))  # D: 10.0, 1.0, 10.05, 6.3
    assert torch.equal(least_inconsistent(a, b, bump(1, 1), bump(1, 2)), 0.5 * (a + bump(1, 2)))
    assert torch.equal(least_inconsistent(a, a, a, bump(0, 0)), a)  # several at 0: the first
    both = least_inconsistent(*(torch.cat([one, other], dim=1) for one, other in ((a, a), (b, a), (old_a, b), (old_b, b))))
    assert torch.equal(both[:, :1], 0.5 * (old_a + b))  # each joint for itself
    assert torch.equal(both[:, 1:], a)


def test_sspcm_masks() -> None:
    assert score_mask(bump(0, 0, 0.3), bump(5, 5, 0.1), 0.15).item() == 1
    assert score_mask(bump(0, 0, 0.3), bump(5, 5, 0.1), 0.25).item() == 0
    assert position_mask(bump(0, 0), bump(3, 4), 5.1 / 15).item() == 1  # the diagonal of 12 x 9 cells is 15
    assert position_mask(bump(0, 0), bump(3, 4), 4.9 / 15).item() == 0


@pytest.mark.parametrize("dual", [False, True])
def test_multiaugs(tiny: Params, task: Task, batch: Batch, nets: list[PoseNet], dual: bool) -> None:
    method = made(tiny, "multiaugs", nets, task, dual=dual)
    used, g = nets[: 2 if dual else 1], generator_of(7, "step", 0)
    images, targets, weight = task.labelled(batch.labelled, g)
    expected = {"supervised": sum(mse(net(images), targets, weight) for net in used) / len(used)}
    easy = task.view(batch.unlabelled.pixels, task.weak(batch.unlabelled, g)[0])
    heatmaps = [net(easy).detach() for net in used]
    theta = task.strong(PEOPLE, g)
    for n, net in enumerate(used):
        teacher = heatmaps[1 - n] if dual else heatmaps[0]
        for k, path in enumerate(PATHS, start=1):
            hard = hard_view(task, easy, teacher, theta, g, path)
            name = f"net{n + 1}" if dual else "net"
            expected[f"{name}/path{k}"] = mse(net(hard), task.move_heatmaps(teacher, theta), torch.ones(PEOPLE, 17))
    check(method, batch, expected, used)


@pytest.mark.parametrize(("name", "confident"), [("pseudopose", 0.3), ("datadistill", 0.05)])
def test_offline_pseudo_labels_are_trained_on_like_labels(
    tiny: Params, task: Task, batch: Batch, nets: list[PoseNet], name: str, confident: float
) -> None:
    method = made(tiny, name, nets, task, confidence=confident, **({"scales": [0.9, 1.0]} if name == "datadistill" else {}))
    f, teacher, g = nets[0], copy.deepcopy(nets[0]).eval(), generator_of(7, "step", 0)
    plain = task.view(*batch.unlabelled)
    with torch.no_grad():
        if name == "pseudopose":
            heatmaps = teacher(plain)
        else:
            total = torch.zeros(PEOPLE, 17, 8, 8)
            for mirrored in (False, True):
                for scale in (0.9, 1.0):
                    for angle in (-30.0, 0.0, 30.0):
                        for i in range(PEOPLE):
                            one = torch.tensor([angle]), torch.tensor([scale]), torch.tensor([mirrored])
                            there = similarity(*one, task.centre)
                            maps = teacher(task.move_images(plain[i : i + 1], there))
                            whole = torch.eye(3)
                            whole[:2] = there[0]
                            back = torch.linalg.inv(whole)[None, :2]
                            maps = task.move_heatmaps(maps, back)
                            total[i] += maps[0, list(task.skeleton.flip)] if mirrored else maps[0]
            heatmaps = total / 12
    points, confidence = decode(heatmaps, 4, "dark", task.sigma)
    matrices = torch.eye(3).repeat(PEOPLE, 1, 1)
    matrices[:, :2] = batch.unlabelled.base
    inverses = torch.linalg.inv(matrices)
    in_crop = torch.stack(
        [
            torch.stack([inverse[:2, :2] @ point + inverse[:2, 2] for point in person])
            for person, inverse in zip(points, inverses, strict=True)
        ]
    )
    sure = torch.tensor([[float(float(value) >= confident) for value in row] for row in confidence])
    assert 0 < sure.mean() < 1
    images, targets, weight = task.labelled(batch.labelled, g)
    expected = {"supervised": mse(f(images), targets, weight)}
    images, targets, weight = task.labelled(type(batch.labelled)(batch.unlabelled, in_crop, sure), g)
    expected["pseudo"] = mse(f(images), targets, weight)
    check(method, batch, expected, nets[:1])
    before = [value.clone() for value in method.teacher.state_dict().values()]
    method(batch, generator_of(8, "step", 0))
    method.after_step()
    method.after_epoch()
    assert all(torch.equal(a, b) for a, b in zip(before, method.teacher.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("name", "changes", "teachers"),
    [
        ("posecons", {}, [0]),
        ("posedual", {}, [0, 1]),
        ("sspcm", {}, [1, 2]),
        ("multiaugs", {"dual": False}, [0]),
        ("multiaugs", {"dual": True}, [0, 1]),
        ("denoise_select", {"tau": 0.0}, [0, 1]),
    ],
)
def test_moving_averages_teach_in_place_of_the_networks(
    tiny: Params, task: Task, batch: Batch, nets: list[PoseNet], name: str, changes: dict[str, object], teachers: list[int]
) -> None:
    """Networks that answer zero everywhere, with averages that do not: pseudo-labels and targets are those of a method whose networks
    are the averages. After a step an average is 0.9 of itself and 0.1 of its network."""
    method = made(tiny, name, nets, task, ema=0.9, **changes)
    own = made(tiny, name, nets, task, ema=0.0, **changes)
    assert not len(own.averages)
    with torch.no_grad():
        for net in (method.networks[key] for key in method.networks):
            net.head[-1].weight.zero_()
            net.head[-1].bias.zero_()
    weak = task.weak_view(batch.unlabelled, generator_of(0, "w", 0))
    heatmaps, expected = (one.pseudo_labels(weak, generator_of(0, "p", 0)).heatmaps for one in (method, own))
    assert torch.equal(heatmaps, expected)
    assert float(heatmaps.abs().max()) > 0
    terms = method(batch, generator_of(7, "step", 0)).terms
    assert all(float(value.detach()) > 0 for key, value in terms.items() if key != "supervised"), "zeros against what the averages say"
    assert not any(weights.requires_grad for weights in method.averages.parameters())
    before = [value.clone() for value in method.averages.state_dict().values()]
    students = [*method.networks.values()]
    method.after_step()
    moved = [value for k in teachers for value in students[k].state_dict().values()]
    for average, old, student in zip(method.averages.state_dict().values(), before, moved, strict=True):
        assert torch.allclose(average, 0.9 * old + 0.1 * student if average.is_floating_point() else student, atol=1e-6)


def test_networks_that_are_kept_are_named(tiny: Params, task: Task, nets: list[PoseNet]) -> None:
    names = {
        name: (list(made(tiny, name, nets, task).networks), made(tiny, name, nets, task).reported) for name in ("akm", "posedual", "sspcm")
    }
    averaged = AKM(nets[:1], tiny.method["akm"].model_copy(update={"ema": 0.9}), task)
    assert averaged.networks == {"net": averaged.net, "teacher": averaged.teacher}
    alone = AKM(nets[:1], tiny.method["akm"].model_copy(update={"ema": 0.0}), task)
    assert step_cost(averaged).gflop == pytest.approx(step_cost(alone).gflop)
    assert names == {
        "akm": (["net"], "net"),
        "posedual": (["net1", "net2"], "mean"),
        "sspcm": (["student", "teacher1", "teacher2"], "student"),
    }


def test_every_strengthening_leaves_its_argument_alone(tiny: Params, task: Task, batch: Batch, nets: list[PoseNet]) -> None:
    easy = task.weak_view(batch.unlabelled, generator_of(0, "w", 0))
    heatmaps = nets[0](easy).detach()
    before, copied, pseudo = easy.clone(), heatmaps.clone(), PseudoLabels(heatmaps, task.sigma)
    names = (
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
    )
    for name in names:
        augmented = strong.augment(easy, pseudo, [name], task.augment, generator_of(0, name, 0))
        again = strong.augment(easy, pseudo, [name], task.augment, generator_of(0, name, 0))
        assert torch.equal(augmented, again), name
        assert augmented.shape == easy.shape
        assert not torch.allclose(augmented, easy, atol=0.1), name
    assert torch.equal(easy, before)
    assert torch.equal(heatmaps, copied)
    one, two = (
        strong.augment(easy, pseudo, ["cutout", "cutmix"], task.augment, generator_of(0, "p", 0)),
        strong.augment(easy, pseudo, [], task.augment, generator_of(0, "p", 0)),
    )
    assert torch.equal(two, easy)
    assert not torch.equal(one, strong.augment(easy, pseudo, ["cutmix", "cutout"], task.augment, generator_of(0, "p", 0)))


def test_adaptive_cutout_counts_as_akm_does(tiny: Params, task: Task, batch: Batch, nets: list[PoseNet]) -> None:
    """A person of whom nothing is clear gets n_min masks, one of whom all is clear n_max: the covered areas say so."""
    easy = torch.ones(200, 3, 32, 32)
    heatmaps = torch.full((200, 17, 8, 8), 0.05)
    heatmaps[100:, :, 4, 4] = 0.95
    pseudo = PseudoLabels(heatmaps, task.sigma)
    augmented = strong.augment(easy, pseudo, ["adaptive_cutout"], task.augment, generator_of(0, "a", 0))
    hidden = (augmented == 0).float().mean(dim=(1, 2, 3))
    spread = strong.augment(easy, pseudo, ["joint_cutout"], task.augment, generator_of(0, "a", 0))
    assert hidden[:100].mean() < 0.5 * hidden[100:].mean()
    assert hidden[100:].mean() == pytest.approx(float((spread[100:] == 0).float().mean()), rel=0.05)  # n_max = joint_cutout = 5


def test_traps_of_the_strong_view(tiny: Params, task: Task) -> None:
    """T4: the shear has the singular values that methods.md computes. T5: labels move beside images by (1 - L) 1.5 px."""
    angles = torch.tensor([30.0, 60.0])
    theta = similarity(angles, torch.ones(2), torch.zeros(2, dtype=torch.bool), (95.5, 127.5))
    values = torch.linalg.svdvals(sheared(theta, (256, 192))[:, :, :2])
    assert values[0].tolist() == pytest.approx([1.156, 0.865], abs=2e-3)
    assert values[1].tolist() == pytest.approx([1.284, 0.779], abs=2e-3)
    centre = torch.tensor([[[95.5, 127.5]]]).expand(2, 1, 2)
    assert torch.allclose(transform(sheared(theta, (256, 192)), centre), centre, atol=1e-3)

    reference_bugs = task.augment.reference_bugs.model_copy(update={"half_cell": True})
    trapped = replace(task, augment=task.augment.model_copy(update={"reference_bugs": reference_bugs}))
    assert torch.equal(task.label_transform(theta), theta)
    points = torch.tensor([[[10.0, 20.0]]]).expand(2, 1, 2)
    beside = transform(trapped.label_transform(theta), points) - transform(theta, points)
    expected = torch.stack([(torch.eye(2) - linear) @ torch.tensor([-1.5, -1.5]) for linear in theta[:, :, :2]])
    assert torch.allclose(beside[:, 0], expected, atol=1e-4)
