"""The two reconstructions (methods.md 3.9 and 3.10) against naive versions: views, people and joints in loops."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from naive import PEOPLE, check, hard_view, made, mse, nets_of
from torch import Tensor, nn

from semipose.augment.task import Task
from semipose.config.tree import Params
from semipose.data.loading.batch import Batch
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.methods import DenoiseSelect, Reviewer, build
from semipose.methods.denoise_select import Views, merged, uncertainty
from semipose.models.check import check_networks
from semipose.models.network import PoseNet
from semipose.models.network import build as build_network
from semipose.pose.heatmap import decode, encode
from semipose.training.trainer import fit
from semipose.utils.errors import InputError
from semipose.utils.seeding import generator_of


@pytest.fixture
def nets(tiny: Params) -> list[PoseNet]:
    return nets_of(tiny)


def turned(angle: float, mirrored: bool) -> Tensor:
    """A turn about the centre of a 32 px image, after mirroring it."""
    radians, c = np.deg2rad(angle), 15.5
    turn = torch.tensor([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]], dtype=torch.float32)
    linear = turn @ torch.diag(torch.tensor([-1.0 if mirrored else 1.0, 1.0]))
    return torch.cat([linear, (torch.tensor([c, c]) - linear @ torch.tensor([c, c]))[:, None]], dim=1)


def inverse(theta: Tensor) -> Tensor:
    whole = torch.eye(3)
    whole[:2] = theta
    return torch.linalg.inv(whole)[:2]


@pytest.mark.parametrize(("select", "spread"), [("lower", "own"), ("cross", "own"), ("lower", "cross")])
def test_denoise_select(tiny: Params, task: Task, batch: Batch, nets: list[PoseNet], select: str, spread: str) -> None:
    method = made(tiny, "denoise_select", nets, task, select=select, uncertainty=spread, tau=1.2, lambda_u=0.7)
    students, g = nets[:2], generator_of(7, "step", 0)
    images, targets, weight = task.labelled(batch.labelled, g)
    expected = {"supervised": sum(0.5 * mse(net(images), targets, weight) for net in students)}
    easy = task.view(batch.unlabelled.pixels, task.weak(batch.unlabelled, g)[0])
    turns = [turned(0, False), turned(0, True), turned(30, False), turned(60, False)]
    maps = torch.zeros(2, 4, PEOPLE, 17, 8, 8)
    inside = torch.zeros(4, 8, 8, dtype=torch.bool)
    for v, theta in enumerate(turns):
        for y in range(8):
            for x in range(8):
                there = (theta[:, :2] @ torch.tensor([4 * x + 1.5, 4 * y + 1.5]) + theta[:, 2] - 1.5) / 4
                inside[v, y, x] = bool((there > -1e-3).all() and (there < 7 + 1e-3).all())
        seen = torch.cat([task.move_images(easy[i : i + 1], theta[None]) for i in range(PEOPLE)])
        for s, net in enumerate(students):
            back = task.move_heatmaps(net(seen).detach(), inverse(theta)[None])
            maps[s, v] = back[:, list(task.skeleton.flip)] if v == 1 else back
    assert 0 < inside[3].float().mean() < 1
    points, kept, teacher = torch.zeros(2, PEOPLE, 17, 2), torch.zeros(2, PEOPLE, 17), torch.zeros(PEOPLE, 17, dtype=torch.long)
    numbers, saw = maps.numpy(), inside.numpy()
    for i in range(PEOPLE):
        for j in range(17):
            peaks, deviations = [], []
            for s in range(2):
                best, spots = (-1e9, 0, 0), []
                for y in range(8):
                    for x in range(8):
                        values = numbers[:, saw[:, y, x], i, j, y, x]
                        best = max(best, (values[s].max(), -y, -x))
                        spots.append((values[s] if spread == "own" else values).std())
                peaks.append(best[0])
                deviations.append(max(spots))
                points[s, i, j] = torch.tensor([-4.0 * best[2] + 1.5, -4.0 * best[1] + 1.5])
                kept[s, i, j] = float(best[0] >= 1.2)
            teacher[i, j] = int(peaks[1] > peaks[0]) if spread == "cross" else int(deviations[1] < deviations[0])
    assert 0 < kept.mean() < 1
    assert 0 < teacher.float().mean() < 1
    chosen = [teacher, teacher] if select == "lower" else [torch.ones_like(teacher), torch.zeros_like(teacher)]
    theta = task.strong(PEOPLE, g)
    for n, net in enumerate(students):
        own = points.gather(0, chosen[n][None, ..., None].expand(1, -1, -1, 2))[0]
        sure = kept.gather(0, chosen[n][None])[0]
        heatmaps = encode(own, torch.ones(PEOPLE, 17), (8, 8), 4, 1.0)[0]  # for the places of joint cutout
        hard = hard_view(task, easy, heatmaps, theta, g)
        moved = torch.stack([points_ @ t[:, :2].T + t[:, 2] for points_, t in zip(own, theta, strict=True)])
        target, visible = encode(moved, sure, (8, 8), 4, task.sigma)
        expected[f"net{n + 1}"] = 0.7 * mse(net(hard), target, visible)
    check(method, batch, expected, students)


def test_views_that_agree_are_not_unsure_and_one_that_misses_a_joint_lowers_nothing() -> None:
    maps = torch.rand(1, 2, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    seen = torch.ones(4, 1, 1, 8, 6, dtype=torch.bool)
    alike = Views(maps.repeat(4, 1, 1, 1, 1), seen)
    torch.testing.assert_close(uncertainty(alike), torch.zeros(2, 3), rtol=0, atol=1e-6)
    torch.testing.assert_close(merged(alike), maps[0])
    missed = Views(torch.cat([alike.heatmaps[:3], torch.zeros(1, 2, 3, 8, 6)]), seen)
    torch.testing.assert_close(merged(missed), maps[0])
    assert (uncertainty(missed) > 0.1).all()
    unseen = Views(
        missed.heatmaps - 9.0 * (torch.arange(4) == 3)[:, None, None, None, None], seen & (torch.arange(4) < 3)[:, None, None, None, None]
    )
    torch.testing.assert_close(merged(unseen), maps[0])
    torch.testing.assert_close(uncertainty(unseen), torch.zeros(2, 3), rtol=0, atol=1e-6)
    nowhere = Views(maps, torch.zeros(1, 1, 1, 8, 6, dtype=torch.bool))
    assert not merged(nowhere).any()
    assert not uncertainty(nowhere).any()


class Painter(nn.Module):
    """Stands for a network that sees a bright spot exactly: the mean of the input's channels, at a quarter of its size."""

    def forward(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images.mean(dim=1, keepdim=True), 4).expand(-1, 17, -1, -1)


def test_a_point_moved_there_and_back_is_where_it_was(tiny: Params, task: Task, nets: list[PoseNet]) -> None:
    """Within 0.05 cell, in each view: a smooth spot that the network reports as it is."""
    wide = Task(task.skeleton, 128, 96, task.device, 2.0, task.augment)
    point = torch.tensor([[[47.3, 65.9]]])
    spot = torch.exp(-((torch.arange(96.0) - 47.3) ** 2 + (torch.arange(128.0)[:, None] - 65.9) ** 2) / (2 * 8.0**2))
    easy = spot.expand(2, 3, 128, 96)
    method = build(nets[:2], tiny.method["denoise_select"], wide)
    assert isinstance(method, DenoiseSelect)
    views = method.predict_views(Painter(), easy)  # type: ignore[arg-type]
    assert views.heatmaps.shape == (4, 2, 17, 32, 24)
    for maps in views.heatmaps:
        found = decode(maps, 4, "dark", 2.0)[0]
        assert float((found - point).norm(dim=2).max()) < 0.05 * 4
    torch.testing.assert_close(views.heatmaps[1], views.heatmaps[0], rtol=0, atol=1e-4)
    assert float(uncertainty(views).max()) < 0.05


def test_the_student_whose_views_agree_teaches(tiny: Params, task: Task, batch: Batch, nets: list[PoseNet]) -> None:
    """The second one is planted: it says the same whatever the view."""
    method = made(tiny, "denoise_select", nets, task, tau=0.0)
    assert isinstance(method, DenoiseSelect)
    easy = task.weak_view(batch.unlabelled, generator_of(0, "w", 0))
    sure = torch.rand(1, PEOPLE, 17, 8, 8, generator=torch.Generator().manual_seed(3)).repeat(4, 1, 1, 1, 1)
    other = method.predict_views
    method.predict_views = lambda net, x: Views(sure, other(net, x).seen) if net is method.second else other(net, x)  # type: ignore[method-assign]
    one, two = method.targets(easy)
    assert one is two
    assert torch.equal(one.heatmaps, sure[0])
    assert one.spread is not None
    assert float(one.spread.max()) < 1e-6
    method.p = method.p.model_copy(update={"select": "cross"})
    one, two = method.targets(easy)
    assert torch.equal(one.heatmaps, sure[0]), "the first learns from the second alone"
    assert not torch.equal(two.heatmaps, sure[0])


@pytest.mark.parametrize("pseudo_label", ["raw", "rendered"])
@pytest.mark.parametrize("changes", [{}, {"lambda_r": 0.0}, {"levels": []}])
def test_reviewer(tiny: Params, task: Task, batch: Batch, nets: list[PoseNet], changes: dict[str, object], pseudo_label: str) -> None:
    method = made(tiny, "reviewer", nets, task, pseudo_label=pseudo_label, gamma=0.3, **changes)
    assert isinstance(method, Reviewer)
    method.reviewer.load_state_dict(nets[1].state_dict())
    f, f_r, heads, g = nets[0], nets[1], copy.deepcopy(method.heads), generator_of(7, "step", 0)

    def levels(images: Tensor) -> tuple[Tensor, list[Tensor]]:
        features, found = images, []
        for name, layer in f.backbone.items():
            features = layer(features)
            if name in heads:
                narrow = heads[name].narrow(features)
                resized = torch.empty(len(images), 64, 8, 8)
                for i in range(len(images)):
                    resized[i] = F.interpolate(narrow[i : i + 1], size=(8, 8), mode="bilinear", align_corners=False)[0]
                found.append(heads[name].predict(resized))
        return f.head(features), found

    def targets(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        if pseudo_label == "raw":
            return torch.cat([task.move_heatmaps(heatmaps[i : i + 1], theta[i : i + 1]) for i in range(PEOPLE)]), torch.ones(PEOPLE, 17)
        points, confidence = decode(heatmaps, 4, "dark", task.sigma)
        moved = torch.stack([points_ @ t[:, :2].T + t[:, 2] for points_, t in zip(points, theta, strict=True)])
        return encode(moved, confidence.clamp(0, 1), (8, 8), 4, task.sigma)

    images, target, weight = task.labelled(batch.labelled, g)
    predicted, of_levels = levels(images)
    expected = {"supervised": mse(predicted, target, weight)}
    if method.p.levels:
        expected["levels"] = 0.3 / 2 * sum(mse(one, target, weight) for one in of_levels)
    easy = task.view(batch.unlabelled.pixels, task.weak(batch.unlabelled, g)[0])
    teacher_maps = f(easy).detach()
    reviewer_maps = f_r(easy).detach() if method.p.lambda_r else teacher_maps
    theta = task.strong(PEOPLE, g)
    hard = hard_view(task, easy, teacher_maps, theta, g, ["keypoint_mix"])
    predicted, of_levels = levels(hard)
    expected["teacher"] = mse(predicted, *targets(teacher_maps))
    if method.p.lambda_r:
        expected["reviewer"] = 0.5 * mse(predicted, *targets(reviewer_maps))
    if method.p.levels:
        expected["levels_unlabelled"] = 0.3 / 2 * sum(mse(one, *targets((teacher_maps + reviewer_maps) / 2)) for one in of_levels)
    check(method, batch, expected, [f])
    pairs = list(zip(method.heads.parameters(), heads.parameters(), strict=True))
    assert len(pairs) == (0 if changes.get("levels") == [] else 16)
    for ours, theirs in pairs:
        assert ours.grad is not None
        assert theirs.grad is not None
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-5, atol=1e-5 * float(theirs.grad.abs().max()))
    assert all(weights.grad is None for weights in method.reviewer.parameters())


def test_what_the_reviewer_remembers(tiny: Params, task: Task, nets: list[PoseNet]) -> None:
    def moved(kind: str, losses: list[float]) -> list[float]:
        """A weight of the reviewer after each of these epochs, in which the network's weights rise from 0 to 1, 2 ..."""
        method = made(tiny, "reviewer", nets, task, reviewer=kind, ema=0.9)
        assert isinstance(method, Reviewer)
        first, copied = next(method.net.parameters()), next(method.reviewer.parameters())
        with torch.no_grad():
            first.zero_()
            copied.zero_()
        seen = []
        for loss in losses:
            with torch.no_grad():
                first.add_(1.0)
            method.epoch += torch.tensor([3 * loss, 3.0])
            method.after_step()
            method.after_epoch()
            seen.append(round(float(copied.flatten()[0]), 4))
        return seen

    assert moved("ema", [1.0, 1.0]) == [0.1, 0.29]
    assert moved("epoch", [1.0, 2.0, 0.5]) == [1.0, 2.0, 3.0]
    assert moved("best", [1.0, 2.0, 0.5, 0.7]) == [1.0, 1.0, 3.0, 3.0]


def test_the_heads_are_the_same_in_every_run_and_the_reviewer_leaves_torchs_generator_alone(
    tiny: Params, task: Task, nets: list[PoseNet]
) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    statistics = [value.clone() for value in nets[0].buffers()]
    one, other = (build([net], tiny.method["reviewer"], task) for net in nets[:2])
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.heads.parameters(), other.heads.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(nets[0].buffers(), statistics, strict=True))


def test_levels_that_are_no_maps_or_not_there_are_refused(tiny: Params, task: Task) -> None:
    p = tiny.model_copy(
        update={
            "sweep": tiny.sweep.model_copy(update={"methods": ["reviewer"]}),
            "ablation": tiny.ablation.model_copy(update={"variants": []}),
        }
    )
    wrong = tiny.method["reviewer"].model_copy(update={"levels": ["layer4", "layer7"]})
    with pytest.raises(
        InputError, match=r"method\.reviewer\.levels: layer7 is not a layer of resnet18; choose from stem, layer1, layer2, layer3, layer4"
    ):
        check_networks(p.model_copy(update={"method": p.method | {"reviewer": wrong}}))
    vit = {"backbone": "vit_tiny_patch16_224", "options": {"depth": 4}, "head_channels": [8, 8]}
    net = build_network(tiny.model.model_copy(update=vit), 17, seed=0)
    with pytest.raises(InputError, match=r"levels: layer3 of vit_tiny_patch16_224 is not a feature map; set levels: \[\] for a ViT"):
        build([net], tiny.method["reviewer"], task)


@pytest.mark.parametrize("name", ["denoise_select", "reviewer"])
def test_twenty_steps_have_finite_losses(tiny: Params, task: Task, pack: CropPack, tmp_path: Path, name: str) -> None:
    entry = tiny.method[name]
    method = build([build_network(tiny.model, 17, seed=k) for k in range(entry.trains)], entry, task)
    batches = Batches(pack, (32, 32), np.arange(8), np.arange(len(pack)), batch_size=8, seed=0)
    rows = fit(
        method,
        batches,
        Fabric(accelerator="cpu", devices=1),
        steps=20,
        lr=0.01,
        state=tmp_path,
        checkpoint_seconds=1e9,
        report=lambda row: None,
    )
    losses = np.array([[value for key, value in row.items() if key.startswith("loss/")] for row in rows])
    assert np.isfinite(losses).all()
    assert losses[-1].sum() < losses[0].sum()
    assert (
        set(rows[0]) - {"epoch", "step", "lr", "kept"}
        == {
            "denoise_select": {"loss/supervised", "loss/net1", "loss/net2"},
            "reviewer": {"loss/supervised", "loss/levels", "loss/teacher", "loss/reviewer", "loss/levels_unlabelled"},
        }[name]
    )
