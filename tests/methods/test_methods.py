"""AKM and the supervised baseline against a naive version: loops over people and keypoints. Views, warps and
patches are those of the library, held against loops of their own in test_augment.py and test_geometry.py."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from semipose.augment import mixing, patches, pseudo
from semipose.augment.adaptive import adaptive_count, simple_keypoints
from semipose.augment.task import Task
from semipose.config.tree import Params
from semipose.data.loading.batch import Batch
from semipose.data.loading.batches import Batches
from semipose.data.loading.pack import CropPack
from semipose.methods import AKM, Supervised, build
from semipose.models.ema import follow
from semipose.models.network import PoseNet
from semipose.models.network import build as build_network
from semipose.training.cost import step_cost
from semipose.utils.seeding import generator_of


@pytest.fixture
def net(tiny: Params) -> PoseNet:
    net = build_network(tiny.model, 17, seed=1)
    for layer in net.head:  # heatmaps of some height, so that responses differ
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            torch.nn.init.normal_(layer.weight, std=0.2, generator=torch.Generator().manual_seed(2))
    return net.train()


@pytest.fixture
def batch(pack: CropPack) -> Batch:
    everybody = np.arange(len(pack))
    return Batches(pack, (32, 32), everybody[:12], everybody, batch_size=6, seed=3)(0)


def akm(tiny: Params, net: PoseNet, task: Task, **changes: object) -> AKM:
    p = tiny.method["akm"].model_copy(update=changes)
    method = build([net], p, task)
    assert isinstance(method, AKM)
    return method


def naive_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> float:
    predicted = predicted.detach()
    people, keypoints, height, width = predicted.shape
    total = 0.0
    for j in range(keypoints):
        squares = 0.0
        for b in range(people):
            for y in range(height):
                for x in range(width):
                    squares += (float(weight[b, j]) * (float(predicted[b, j, y, x]) - float(target[b, j, y, x]))) ** 2
        total += 0.5 * squares / (people * height * width)
    return total / keypoints


def naive_simple(heatmaps: Tensor, response: str, tau: float) -> list[list[bool]]:
    rows = []
    for maps in heatmaps:
        peaks = [max(float(value) for value in one.flatten()) for one in maps]
        low, high = min(peaks), max(peaks)
        row = []
        for h in peaks:
            by = {"relative": (h - low) / (high - low + 1e-6), "relative_max": h / max(high, 1e-6), "absolute": h}
            row.append(by[response] >= tau)
        rows.append(row)
    return rows


@pytest.mark.parametrize("response", ["relative", "relative_max", "absolute"])
def test_simple_keypoints_and_counts_equal_a_loop(tiny: Params, response: str) -> None:
    generator = torch.Generator().manual_seed(5)
    heatmaps = torch.rand(50, 17, 4, 4, generator=generator) * torch.rand(50, 17, 1, 1, generator=generator)
    heatmaps *= torch.linspace(0.05, 1, 50)[:, None, None, None]
    p = tiny.method["akm"].model_copy(update={"response": response})
    simple = simple_keypoints(heatmaps, response, p.tau)
    expected = naive_simple(heatmaps, response, p.tau)
    assert simple.tolist() == expected
    counts = adaptive_count(heatmaps, simple, p)
    for k, row in enumerate(expected):
        hard = max(float(value) for value in heatmaps[k].flatten()) < p.tau_hard
        assert int(counts[k]) == (p.n_min if hard else max(p.n_min, math.floor(p.n_max * sum(row) / 17 + 0.5)))
    assert len(set(counts.tolist())) > 2


def test_the_inferred_count_equals_a_loop(tiny: Params) -> None:
    """floor(8 l / 24) of 24 channels, of which those that no joint of the set has stay below the threshold; l leaves out the highest."""
    generator = torch.Generator().manual_seed(6)
    heatmaps = torch.rand(200, 17, 2, 2, generator=generator) * torch.rand(200, 17, 1, 1, generator=generator)
    heatmaps *= torch.linspace(0.01, 1, 200)[:, None, None, None]
    p = tiny.method["akm"].model_copy(update={"response": "relative_max", "tau": 0.45, "tau_hard": 0.05, "count": "inferred", "n_min": 2})
    found = adaptive_count(heatmaps, simple_keypoints(heatmaps, p.response, p.tau), p).tolist()
    expected = []
    for maps in heatmaps:
        peaks = [float(one.max()) for one in maps] + [0.0] * 7
        highest, lowest = max(peaks), min(peaks)
        others = [h for k, h in enumerate(peaks) if k != peaks.index(highest)]
        l_ = sum((highest - h) / (highest - lowest) < 0.55 for h in others) if highest >= 0.05 else 0
        expected.append(int(8 * l_ / 24) or 2)
    assert found == expected
    assert set(found) >= {1, 2, 3}


def test_relative_response_is_blind_to_a_faint_person_and_absolute_is_not() -> None:
    clear = torch.linspace(0.85, 0.95, 17)[None, :, None, None].expand(1, 17, 2, 2)
    faint = torch.linspace(0.2, 0.4, 17)[None, :, None, None].expand(1, 17, 2, 2)
    both = torch.cat([clear, faint])
    relative, absolute = (simple_keypoints(both, response, 0.5).sum(1).tolist() for response in ("relative", "absolute"))
    assert relative[0] == relative[1]
    assert absolute == [17, 0]


def test_supervised_loss_equals_a_loop(net: PoseNet, task: Task, batch: Batch, tiny: Params) -> None:
    method = Supervised([net], tiny.method["supervised"], task).train()
    images, targets, weight = task.labelled(batch.labelled, generator_of(7, "step", 0))
    expected = naive_loss(net(images), targets, weight)
    sum(0.5 * ((net(images)[:, j] - targets[:, j]) * weight[:, j, None, None]).square().mean() / 17 for j in range(17)).backward()
    gradient = torch.cat([q.grad.flatten() for q in net.parameters()])
    net.zero_grad()
    found = method(batch, generator_of(7, "step", 0)).terms
    assert set(found) == {"supervised"}
    assert float(found["supervised"].detach()) == pytest.approx(expected, rel=1e-5)
    found["supervised"].backward()
    again = torch.cat([q.grad.flatten() for q in net.parameters()])
    assert torch.allclose(again, gradient, rtol=1e-5, atol=1e-6 * float(gradient.abs().max()))


@pytest.mark.parametrize(
    ("place", "branches", "view", "constant"),
    [
        ("input", "second", "hard", None),
        ("layer2", "second", "hard", None),
        ("layer2", "both", "hard", 0.355),
        ("layer2", "second", "weak", 0.355),
    ],
)
@pytest.mark.parametrize("pseudo_label", ["raw", "rendered"])
def test_akm_losses_and_gradients_equal_a_naive_version(
    net: PoseNet, task: Task, batch: Batch, tiny: Params, place: str, branches: str, view: str, constant: float | None, pseudo_label: str
) -> None:
    """The draws are made in the paper's order; what is computed from them is written out again, person by person."""
    p = tiny.method["akm"].mixup.model_copy(update={"place": [place], "branches": branches, "view": view, "weight": constant})
    method = akm(tiny, net, task, mixup=p, pseudo_label=pseudo_label, lambda_u=0.7, lambda_m=1.3)
    terms, measures = method(batch, generator_of(7, "step", 0))
    sum(terms.values()).backward()
    gradient = torch.cat([q.grad.flatten() for q in net.parameters()])
    net.zero_grad()

    g = generator_of(7, "step", 0)
    images, targets, weight = task.labelled(batch.labelled, g)
    loss_s = 0.5 * ((net(images) - targets) * weight[:, :, None, None]).square().mean()
    weak = task.weak_view(batch.unlabelled, g)
    with torch.no_grad():
        heatmaps = net(weak)
    simple = naive_simple(heatmaps, "relative", method.p.tau)
    counts = torch.tensor(
        [1 if float(heatmaps[i].max()) < 0.2 else max(1, math.floor(5 * sum(simple[i]) / 17 + 0.5)) for i in range(6)], dtype=torch.long
    )

    def branch(hard: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        from semipose.pose.heatmap import decode

        points, confidence = decode(heatmaps, 4, "quarter")
        mask = (
            patches.keypoint_masks(points, counts, None, (32, 32), method.p.patch, g) if hard else torch.zeros(6, 32, 32, dtype=torch.bool)
        )
        theta = task.strong(6, g) if hard else torch.eye(2, 3).expand(6, 2, 3)
        views, moved, weights = [], [], []
        for i in range(6):
            seen = weak[i : i + 1].clone()
            seen[:, :, mask[i]] = 0
            views.append(task.move_images(seen, theta[i : i + 1]) if hard else seen)
            if pseudo_label == "raw":
                moved.append(task.move_heatmaps(heatmaps[i : i + 1], theta[i : i + 1]) if hard else heatmaps[i : i + 1])
                weights.append(torch.ones(1, 17))
            else:
                there = decode(heatmaps[i : i + 1], 4, "dark", task.sigma)[0][0] @ theta[i, :, :2].T + theta[i, :, 2]
                x, y = (there[:, axis, None, None] for axis in (0, 1))
                cells = torch.arange(8.0) * 4 + 1.5
                squared = ((cells[None, None, :] - x) ** 2 + (cells[None, :, None] - y) ** 2) / 16
                moved.append(torch.exp(-squared / (2 * task.sigma**2))[None])
                far = 3 * task.sigma * 4
                seen = ((there > 1.5 - far) & (there < 29.5 + far)).all(1)
                weights.append((confidence[i].clamp(0, 1) * seen)[None])
        return torch.cat(views), torch.cat(moved), torch.cat(weights)

    def mse(predicted: Tensor, target: Tensor, w: Tensor) -> Tensor:
        return sum(0.5 * ((predicted[:, j] - target[:, j]) * w[:, j, None, None]).square().mean() for j in range(17)) / 17

    def mixed_mse(view: Tensor, target: Tensor, w: Tensor) -> Tensor:
        torch.randint(1, (1,), generator=g)
        alpha = mixing.sample_alpha(0.2, g) if constant is None else constant
        partner = torch.randperm(6, generator=g)
        features = view
        if place == "layer2":
            for name in ("stem", "layer1", "layer2"):
                features = net.backbone[name](features)
        features = torch.stack([alpha * features[i] + (1 - alpha) * features[partner[i]] for i in range(6)])
        for name in ("layer3", "layer4") if place == "layer2" else ("stem", "layer1", "layer2", "layer3", "layer4"):
            features = net.backbone[name](features)
        mixed = net.head(features)
        return alpha * mse(mixed, target, w) + (1 - alpha) * mse(mixed, target[partner], w[partner])

    first, target, w = branch()
    loss_u = mixed_mse(first, target, w) if branches == "both" else mse(net(first), target, w)
    loss_m = mixed_mse(*branch(hard=view == "hard"))
    (loss_s + 0.7 * loss_u + 1.3 * loss_m).backward()
    expected = torch.cat([q.grad.flatten() for q in net.parameters()])

    assert float(terms["supervised"].detach()) == pytest.approx(float(loss_s.detach()), rel=1e-5)
    assert float(terms["masked"].detach()) == pytest.approx(0.7 * float(loss_u.detach()), rel=1e-5)
    assert float(terms["mixed"].detach()) == pytest.approx(1.3 * float(loss_m.detach()), rel=1e-5)
    assert torch.allclose(gradient, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))
    assert float(measures["masks"]) == pytest.approx(counts.float().mean())


@pytest.mark.parametrize("masking_rule", ["adaptive", "fixed", "random", "shuffled", "none"])
def test_counts_under_each_masking(net: PoseNet, task: Task, batch: Batch, tiny: Params, masking_rule: str) -> None:
    method = akm(tiny, net, task, masking=masking_rule, response="absolute")
    heatmaps = torch.zeros(6, 17, 8, 8)
    for person, simple in enumerate([4, 7, 11, 14, 17, 17]):
        heatmaps[person, :simple] = 1.0
    own = [1, 2, 3, 4, 5, 5]
    counts = torch.stack([method.counted(heatmaps, generator_of(0, "c", k)).counts for k in range(300)])
    if masking_rule == "adaptive":
        assert (counts == torch.tensor(own)).all()
    elif masking_rule == "shuffled":
        assert all(sorted(row) == own for row in counts.tolist())
        assert torch.allclose(counts.float().mean(0), torch.full((6,), 20 / 6), atol=0.35)
    elif masking_rule == "random":
        assert set(counts.flatten().tolist()) == {1, 2, 3, 4, 5}
        assert counts.float().mean() == pytest.approx(3, abs=0.1)
    else:
        assert set(counts.flatten().tolist()) == {3 if masking_rule == "fixed" else 0}


def test_the_weak_view_and_the_teacher_are_left_alone(net: PoseNet, task: Task, batch: Batch, tiny: Params) -> None:
    method = akm(tiny, net, task)
    weak = task.weak_view(batch.unlabelled, generator_of(0, "w", 0))
    before = weak.clone()
    answer = replace(method.pseudo_labels(weak, generator_of(0, "p", 0)), counts=torch.full((6,), 5))
    maps = answer.heatmaps.clone()
    view = method.strong_view(weak, answer, generator_of(0, "b", 0))
    assert torch.equal(weak, before)
    assert torch.equal(answer.heatmaps, maps)
    assert not maps.requires_grad
    assert not torch.equal(view.images, before)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_teacher_batch_norm(net: PoseNet, task: Task, batch: Batch, tiny: Params, mode: str) -> None:
    method = akm(tiny, net, task, teacher_bn=mode)
    weak = task.weak_view(batch.unlabelled, generator_of(0, "w", 0))
    statistics = [value.clone() for name, value in net.named_buffers() if "running" in name]
    whole = method.pseudo_labels(weak, generator_of(0, "p", 0)).heatmaps
    moved = any(not torch.equal(a, b) for a, b in zip(statistics, [v for n, v in net.named_buffers() if "running" in n], strict=True))
    assert moved == (mode == "train")
    assert all(module.training for module in net.modules())
    alone = torch.cat([method.pseudo_labels(weak[i : i + 2], generator_of(0, "p", 0)).heatmaps for i in (0, 2, 4)])
    assert torch.allclose(whole, alone, atol=1e-5) == (mode == "eval")


def test_shared_second_view_and_no_mixup(net: PoseNet, task: Task, batch: Batch, tiny: Params) -> None:
    one = tiny.method["akm"].mixup.model_copy(update={"place": ["none"]})
    method = akm(tiny, net, task, mixup=one)
    terms = method(batch, generator_of(0, "s", 0)).terms
    assert set(terms) == {"supervised", "masked"}
    unmixed = akm(tiny, net, task, mixup=one.model_copy(update={"branches": "both"}))(batch, generator_of(0, "s", 0)).terms
    assert float(unmixed["masked"].detach()) == pytest.approx(float(terms["masked"].detach()), rel=1e-6)
    assert step_cost(method).passes == {("net", True): 2, ("net", False): 1}
    seen: list[Tensor] = []
    shared = akm(tiny, net, task, second_view="shared", mixup=one.model_copy(update={"place": ["input"]}))
    original = shared.mixed_loss
    shared.mixed_loss = lambda view, *given: (seen.append(view.images), original(view, *given))[1]  # type: ignore[method-assign]
    hook = net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    shared(batch, generator_of(0, "s", 0))
    hook.remove()
    masked, mixed = seen[2], seen[3]
    assert torch.equal(masked, mixed)


def test_without_weight_the_masked_branch_is_not_there(net: PoseNet, task: Task, batch: Batch, tiny: Params) -> None:
    """A pass without a loss would still move the statistics of batch norm."""
    method = akm(tiny, net, task, lambda_u=0.0, second_view="shared")
    passes: list[Tensor] = []
    net.register_forward_pre_hook(lambda module, inputs: passes.append(inputs[0]))
    assert set(method(batch, generator_of(0, "s", 0)).terms) == {"supervised", "mixed"}
    assert len(passes) == 3


def test_ramp_up(net: PoseNet, task: Task, batch: Batch, tiny: Params) -> None:
    full = akm(tiny, net, task)(batch, generator_of(0, "s", 0)).terms["masked"]
    ramped = akm(tiny, net, task, ramp_up_steps=4)
    for step, share in ((0, 0.25), (1, 0.5), (3, 1.0), (9, 1.0)):
        value = ramped(batch._replace(step=step), generator_of(0, "s", 0)).terms["masked"]
        assert float(value.detach()) == pytest.approx(share * float(full.detach()), rel=1e-5)


def test_simple_joints_alone_are_masked(net: PoseNet, task: Task, batch: Batch, tiny: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    method = akm(tiny, net, task, joints="simple")
    weak = task.weak_view(batch.unlabelled, generator_of(0, "w", 0))
    answer = method.pseudo_labels(weak, generator_of(0, "p", 0))
    seen = []
    original = patches.keypoint_masks
    monkeypatch.setattr(patches, "keypoint_masks", lambda *a, **k: (seen.append(a[2]), original(*a, **k))[1])
    method.strong_view(weak, answer, generator_of(0, "b", 0))
    assert seen[0].tolist() == naive_simple(answer.heatmaps, "relative", 0.5)


def test_a_step_decodes_the_teachers_heatmaps_once_for_masks_and_once_for_targets(
    net: PoseNet, task: Task, batch: Batch, tiny: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    how: list[str] = []
    original = pseudo.decode
    monkeypatch.setattr(pseudo, "decode", lambda *given, **more: (how.append(given[2]), original(*given, **more))[1])
    akm(tiny, net, task, pseudo_label="rendered")(batch, generator_of(0, "s", 0))
    assert sorted(how) == ["dark", "quarter"]


def test_moving_average_follows_weights_and_statistics(net: PoseNet, task: Task, batch: Batch, tiny: Params) -> None:
    method = akm(tiny, net, task, ema=0.9)
    assert method.teacher is not None
    old = {name: value.clone() for name, value in method.teacher.state_dict().items()}
    with torch.no_grad():
        for value in net.state_dict().values():
            value.add_(1)
    method.after_step()
    for name, value in method.teacher.state_dict().items():
        new = net.state_dict()[name]
        expected = 0.9 * old[name] + 0.1 * new if value.is_floating_point() else new
        assert torch.allclose(value, expected, atol=1e-6), name
    assert not any(q.requires_grad for q in method.teacher.parameters())
    follow(method.teacher, net, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(method.teacher.state_dict().values(), net.state_dict().values(), strict=True))


def test_mixup_at_features_is_one_pass(net: PoseNet) -> None:
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    partner, alpha = torch.tensor([1, 0, 3, 2]), 0.3
    net.eval()
    for place in ("input", "stem", "layer1", "layer2", "layer3"):
        calls = []
        out = net(images, place, lambda x, calls=calls: (calls.append(x.shape), mixing.mix(x, partner, alpha))[1])
        assert len(calls) == 1
        assert not torch.allclose(out, net(images))
    assert torch.allclose(net(images, "layer2", lambda x: x), net(images))
    with pytest.raises(ValueError, match=r"place = 'layer5', must be one of input, stem, layer1"):
        net(images, "layer5", lambda x: x)
