"""What the naive versions of methods share: the loss in loops, strong views person by person, and the comparison with the method."""

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from semipose.augment import patches
from semipose.augment.keypoint_mix import keypoint_mix
from semipose.augment.occlusion import cut_occlude
from semipose.augment.patches import cutmix, cutout
from semipose.augment.task import Task
from semipose.config.tree import Params
from semipose.data.loading.batch import Batch
from semipose.methods import Method, build
from semipose.models.network import PoseNet
from semipose.models.network import build as build_network
from semipose.pose.heatmap import decode
from semipose.utils.seeding import generator_of

PEOPLE = 6


def nets_of(tiny: Params) -> list[PoseNet]:
    """Three networks with heatmaps of some height, so that peaks lie here and there."""
    made = []
    for seed in (1, 2, 3):
        net = build_network(tiny.model, 17, seed=seed)
        for layer in net.head:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=0.2, generator=torch.Generator().manual_seed(seed))
        made.append(net.train())
    return made


def mse(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """methods.md 1.3 with K for 24, joint by joint and person by person."""
    total = predicted.new_zeros(())
    for j in range(17):
        for b in range(len(predicted)):
            total = total + 0.5 * (weight[b, j] * (predicted[b, j] - target[b, j])).square().mean() / len(predicted)
    return total / 17


def argmax_point(heatmap: Tensor) -> tuple[int, int]:
    best = max((float(heatmap[y, x]), -y, -x) for y in range(heatmap.shape[0]) for x in range(heatmap.shape[1]))
    return -best[2], -best[1]


def hard_view(
    task: Task, easy: Tensor, heatmaps: Tensor, theta: Tensor, generator: torch.Generator, path: Sequence[str] = ("joint_cutout",)
) -> Tensor:
    """What the path does at the keypoints of the heatmaps, with the papers' numbers, then the warp, person by person."""
    points, patch = decode(heatmaps, 4, "quarter")[0], task.augment.strong_augment.patch
    views = easy.clone()
    for name in path:
        match name:
            case "joint_cutout":
                mask = patches.keypoint_masks(points, torch.full((len(easy),), 5), None, (32, 32), patch, generator)
                for i in range(len(easy)):
                    views[i, :, mask[i]] = 0
            case "cut_occlude":
                views = cut_occlude(views, points, 2, patch, generator)
            case "keypoint_mix":
                views = keypoint_mix(views, points, task.augment.strong_augment.keypoint_mix, patch, generator)
            case "cutout":
                views = cutout(views, 5, patch, generator)
            case "cutmix":
                views = cutmix(views, 2, patch, generator)
    return torch.cat([task.move_images(views[i : i + 1], theta[i : i + 1]) for i in range(len(easy))])


def made(tiny: Params, name: str, nets: list[PoseNet], task: Task, **changes: object) -> Method:
    entry = tiny.method[name].model_copy(update=changes)
    return build(copy.deepcopy(nets[: entry.trains]), entry, task)


def gradients(method: Method) -> Tensor:
    return torch.cat([q.grad.flatten() for net in method.networks.values() for q in net.parameters() if q.requires_grad])


def check(method: Method, batch: Batch, expected: dict[str, Tensor], naive: list[PoseNet]) -> None:
    """Terms and gradients of the method equal those of the naive losses on the naive networks (in the order of `networks`)."""
    terms = method(batch, generator_of(7, "step", 0)).terms
    assert set(terms) == set(expected)
    for name, value in terms.items():
        assert float(value.detach()) == pytest.approx(float(expected[name].detach()), rel=1e-5), name
    torch.stack(list(terms.values())).sum().backward()
    torch.stack(list(expected.values())).sum().backward()
    truth = torch.cat([q.grad.flatten() for net in naive for q in net.parameters()])
    assert torch.allclose(gradients(method), truth, rtol=1e-5, atol=1e-5 * float(truth.abs().max()))
