"""AKM's parts that no paper has, against naive versions: several strong views, agreement of two views, an average for evaluation."""

import copy
import math

import pytest
import torch
from naive import PEOPLE, check, mse
from torch import Tensor

from semipose.augment import patches
from semipose.augment.pseudo import PseudoLabels, agreement
from semipose.augment.strong import augment
from semipose.augment.task import Task
from semipose.config.tree import Params
from semipose.data.loading.batch import Batch
from semipose.methods import AKM, build
from semipose.models.network import PoseNet
from semipose.pose.heatmap import decode, encode
from semipose.training.cost import step_cost
from semipose.utils.seeding import generator_of


def akm(tiny: Params, net: PoseNet, task: Task, **changes: object) -> AKM:
    """Without the Mixup branch, with three masks each."""
    p = tiny.method["akm"]
    still = {"mixup": p.mixup.model_copy(update={"place": ["none"]}), "masking": "fixed", "fixed_count": 3}
    method = build([copy.deepcopy(net)], p.model_copy(update=still | changes), task)
    assert isinstance(method, AKM)
    return method


@pytest.mark.parametrize("confidence", ["peak", "agreement"])
def test_several_strong_views_and_agreement_equal_a_naive_version(
    tiny: Params, task: Task, batch: Batch, net: PoseNet, confidence: str
) -> None:
    method = akm(tiny, net, task, strong_views=3, strong=["cutout"], confidence=confidence, pseudo_label="rendered", lambda_u=0.7)
    g = generator_of(7, "step", 0)
    images, targets, weight = task.labelled(batch.labelled, g)
    expected = {"supervised": mse(net(images), targets, weight)}
    weak = task.weak_view(batch.unlabelled, g)
    with torch.no_grad():
        heatmaps = net(weak)
        mirrored = net(torch.stack([torch.stack([row.flip(-1) for row in image]) for image in weak]))
    exact, height = decode(heatmaps, 4, "dark", task.sigma)
    if confidence == "agreement":
        unflipped = torch.stack([torch.stack([person[task.skeleton.flip[j]].flip(-1) for j in range(17)]) for person in mirrored])
        other = decode(unflipped, 4, "dark", task.sigma)[0]
        for i in range(PEOPLE):
            for j in range(17):
                cells = math.dist(exact[i, j].tolist(), other[i, j].tolist()) / 4
                height[i, j] = math.exp(-(cells**2) / (2 * task.sigma**2))
        assert 0.01 < float(height.mean()) < 0.99
    points = decode(heatmaps, 4, "quarter")[0]
    losses = []
    for _ in range(3):
        mask = patches.keypoint_masks(points, torch.full((PEOPLE,), 3), None, (32, 32), method.p.patch, g)
        theta = task.strong(PEOPLE, g)
        hidden = weak.clone()
        for i in range(PEOPLE):
            hidden[i, :, mask[i]] = 0
        hidden = augment(hidden, PseudoLabels(heatmaps, task.sigma), ["cutout"], task.augment, g)
        moved = torch.stack([one @ t[:, :2].T + t[:, 2] for one, t in zip(exact, theta, strict=True)])
        target, sure = encode(moved, height.clamp(0, 1), (8, 8), 4, task.sigma)
        losses.append(mse(net(task.move_images(hidden, theta)), target, sure))
    expected["masked"] = 0.7 * sum(losses) / 3
    check(method, batch, expected, [net])
    assert step_cost(method).passes == {("net", True): 4, ("net", False): 1 if confidence == "peak" else 2}


def test_answers_that_agree_have_weight_one_and_a_sigma_apart_061() -> None:
    def at(x: float) -> PseudoLabels:
        points: Tensor = torch.tensor([[[x, 30.0]]])
        return PseudoLabels(encode(points, torch.ones(1, 1), (16, 16), 4, 2.0)[0], 2.0)

    assert float(agreement(at(30.0), at(30.0))) == pytest.approx(1)
    assert float(agreement(at(30.0), at(38.0))) == pytest.approx(math.exp(-0.5), abs=0.01)
    assert float(agreement(at(10.0), at(50.0))) < 1e-4


def test_a_weight_takes_the_place_of_the_peak_in_rendered_labels_alone(task: Task) -> None:
    heatmaps = torch.rand(2, 17, 8, 8, generator=torch.Generator().manual_seed(0))
    weight = torch.rand(2, 17, generator=torch.Generator().manual_seed(1))
    pseudo = PseudoLabels(heatmaps, 1.0, weight=weight)
    assert torch.equal(task.moved_labels(pseudo, None, "rendered")[1], weight)
    assert torch.equal(task.moved_labels(pseudo, None, "raw")[1], torch.ones(2, 17))
    assert torch.equal(pseudo.exact[0], PseudoLabels(heatmaps, 1.0).exact[0])


def test_the_average_is_kept_beside_the_network_and_teaches_nobody(tiny: Params, task: Task, batch: Batch, net: PoseNet) -> None:
    method, plain = akm(tiny, net, task, average=0.5), akm(tiny, net, task)
    assert list(method.networks) == ["net", "average"]
    assert list(plain.networks) == ["net"]
    expected = {name: value.clone() for name, value in net.state_dict().items()}
    for step in range(3):
        with torch.no_grad():
            for value in method.net.parameters():
                value.add_(step + 1.0)
        method.after_step()
        for name, value in method.net.state_dict().items():
            expected[name] = 0.5 * expected[name] + 0.5 * value if value.is_floating_point() else value.clone()
    assert method.average is not None
    for name, value in method.average.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-5), name
    assert not any(weights.requires_grad for weights in method.average.parameters())
    ours, theirs = (akm(tiny, net, task, average=a)(batch, generator_of(0, "s", 0)).terms for a in (0.5, 0.0))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_agreement_needs_rendered_labels(tiny: Params) -> None:
    entry = tiny.method["akm"].model_dump() | {"confidence": "agreement", "pseudo_label": "raw"}
    with pytest.raises(ValueError, match="confidence: agreement needs pseudo_label: rendered"):
        type(tiny.method["akm"]).model_validate(entry)
