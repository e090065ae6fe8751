"""Families of backbones: their features are timm's, they train and export; what is frozen stays; what cannot be is refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import timm
import torch
from torch import Tensor

from semipose.augment.task import Task
from semipose.config.network import Model
from semipose.config.tree import Params
from semipose.data.loading.batches import Batches
from semipose.data.loading.normalise import MEAN, STD, normalise
from semipose.data.loading.pack import CropPack
from semipose.methods import build as build_method
from semipose.models import backbones
from semipose.models.check import check_networks
from semipose.models.network import PoseNet, build
from semipose.models.weight_file import load_network, network_metadata, save_network
from semipose.pose.skeleton import COCO17
from semipose.training.cost import step_cost
from semipose.training.trainer import adam
from semipose.utils.errors import InputError
from semipose.utils.seeding import generator_of

SIDE = 32


class Family(NamedTuple):
    backbone: str
    options: dict[str, Any] = {}  # noqa: RUF012
    deconvolutions: int = 3


SMALL_VIT = {"embed_dim": 24, "depth": 4, "num_heads": 2}
FAMILIES = {
    "EfficientNet-Lite": Family("tf_efficientnet_lite0"),
    "EfficientNet": Family("efficientnet_b0", {"output_stride": 16}, 2),
    "MobileNet": Family("mobilenetv3_small_050"),
    "ConvNeXt": Family("convnext_atto", {"depths": [1, 1, 2, 1], "dims": [8, 16, 24, 32]}),
    "RegNet": Family("regnety_002"),
    "ViT": Family("vit_tiny_patch16_224", SMALL_VIT, 2),
    "DINOv2": Family("vit_small_patch14_reg4_dinov2", SMALL_VIT | {"patch_size": 16}, 2),
}


def model_of(tiny: Params, family: Family, **changes: Any) -> Model:
    channels = [8] * family.deconvolutions
    whole = {"backbone": family.backbone, "options": family.options, "head_channels": channels, "height": SIDE, "width": SIDE}
    return tiny.model.model_copy(update=whole | changes)


def timms(family: Family, side: int = SIDE) -> Any:
    """timm's whole network, its statistics and scales far from the initial ones."""
    size = {"img_size": side} if family.backbone.startswith("vit") else {}
    torch.manual_seed(1)
    network = timm.create_model(family.backbone, **family.options, **size)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith(("gamma", "running_var")):
                value.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                value.normal_(std=0.1)
    return network.eval()


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_features_are_timms(family: Family, tiny: Params, tmp_path: Path) -> None:
    whole, path = timms(family), tmp_path / "backbone.pth"
    torch.save(whole.state_dict(), path)
    net = build(model_of(tiny, family, pretrained=str(path)), 17, seed=0).eval()
    pixels = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(whole.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    features = normalise(pixels)
    with torch.inference_mode():
        for layer in net.backbone.values():
            features = layer(features)
        *_, expected = whole.forward_intermediates((pixels / 255 - mean) / std, norm=not net.any_size, intermediates_only=True)
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-3)
    assert net.places == ("input", "stem", "layer1", "layer2", "layer3", "layer4")


@pytest.mark.parametrize("family", [FAMILIES[name] for name in ("MobileNet", "ConvNeXt", "DINOv2")])
def test_akm_takes_a_step_and_the_network_is_kept(family: Family, tiny: Params, task: Task, pack: CropPack, tmp_path: Path) -> None:
    model = model_of(tiny, family)
    net = build(model, 17, seed=0)
    method = build_method([net], tiny.method["akm"], task)
    people = np.arange(len(pack))
    optimiser = adam(method, 1e-3)
    losses = method(Batches(pack, task.size, people, people, 8, seed=0)(0), generator_of(0, "step", 0, torch.device("cpu")))
    torch.stack(list(losses.terms.values())).sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in net.parameters() if weight.requires_grad)
    optimiser.step()
    net.eval()
    images = torch.randn(2, 3, SIDE, SIDE)
    for place in net.places[:-1]:
        assert not torch.equal(net(images, place, lambda x: x.flip(0)), net(images)), place
    save_network(net, tmp_path / "weights.safetensors", network_metadata(model, COCO17, 1.25))
    again, _ = load_network(tmp_path / "weights.safetensors")
    assert torch.equal(again(images), net(images))


def test_images_are_seen_in_the_colours_of_the_weights() -> None:
    assert (MEAN, STD) == (backbones.IMAGENET_DEFAULT_MEAN, backbones.IMAGENET_DEFAULT_STD)
    pixels = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    colours = backbones.Colours((0.5, 0.4, 0.3), (0.5, 0.25, 0.2))
    expected = (pixels / 255 - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.5, 0.25, 0.2])[:, None, None]
    torch.testing.assert_close(colours(normalise(pixels)), expected)
    assert not any(weight.requires_grad for weight in colours.parameters())


def test_frozen_layers_keep_weights_and_statistics(tiny: Params, task: Task, pack: CropPack) -> None:
    net = build(tiny.model.model_copy(update={"frozen": ["stem", "layer2"]}), 17, seed=0)
    entry = tiny.method["akm"].model_copy(update={"ema": 0.5, "teacher_bn": "eval"})
    method = build_method([net], entry, task)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    people, optimiser = np.arange(len(pack)), adam(method, 0.1)
    losses = method(Batches(pack, task.size, people, people, 8, seed=0)(0), generator_of(0, "step", 0, torch.device("cpu")))
    torch.stack(list(losses.terms.values())).sum().backward()
    optimiser.step()
    method.after_step()
    for name, value in method.state_dict().items():
        if ".stem." in name or ".layer2." in name:
            assert torch.equal(value, before[name]), name
    for part in ("net.backbone.layer1", "net.backbone.layer4", "teacher.backbone.layer3", "net.head"):
        moved = [name for name, value in method.state_dict().items() if name.startswith(part) and not torch.equal(value, before[name])]
        assert any(name.endswith("running_mean") for name in moved), part
        assert any(name.endswith("weight") for name in moved), part


def test_dinov2_starts_at_patch_16_from_its_own_file(tiny: Params, tmp_path: Path) -> None:
    """Patch 14 and another grid in the file: timm resamples both. The names are those of the authors' file."""
    family = FAMILIES["DINOv2"]
    published = timms(Family(family.backbone, SMALL_VIT), side=42)
    path = tmp_path / "dinov2.pth"
    state = published.state_dict()
    state = {name.replace("reg_token", "register_tokens"): value for name, value in state.items()}
    state["pos_embed"] = torch.cat([torch.zeros(1, 1, 24), state["pos_embed"]], dim=1)  # theirs has a place for the class token
    torch.save(state | {"mask_token": torch.zeros(1, 24)}, path)
    net = build(model_of(tiny, family, pretrained=str(path)), 17, seed=0)
    vit: Any = net.backbone["stem"].vit
    assert vit.patch_embed.proj.weight.shape[-1] == 16
    assert vit.pos_embed.shape[1] == (SIDE // 16) ** 2
    assert torch.equal(vit.reg_token, published.reg_token)
    # What a patch of one colour gives is the same.
    torch.testing.assert_close(vit.patch_embed.proj.weight.sum((2, 3)), published.patch_embed.proj.weight.sum((2, 3)), rtol=1e-3, atol=1e-4)


def test_a_file_of_another_backbone_is_refused(tiny: Params, tmp_path: Path) -> None:
    path = tmp_path / "backbone.pth"
    torch.save(timms(FAMILIES["ViT"]).state_dict(), path)
    with pytest.raises(InputError, match=r"backbone\.pth' does not fit model\.backbone: missing \['"):
        build(model_of(tiny, FAMILIES["MobileNet"], pretrained=str(path)), 17, seed=0)


def test_a_vits_step_costs_what_its_own_size_costs(tiny: Params, task: Task) -> None:
    """A ViT cannot be measured at another size than its own; with the class token 17 tokens instead of 5."""
    large = Task(COCO17, 64, 64, torch.device("cpu"), 1.0, tiny.augment)

    def gflop(task: Task) -> float:
        net = build(model_of(tiny, FAMILIES["ViT"], height=task.height, width=task.width), 17, seed=0)
        return step_cost(build_method([net], tiny.method["supervised"], task)).gflop

    assert 17 / 5 < gflop(large) / gflop(task) < 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "resnet19"}, "timm cannot make this network"),
        ({"frozen": ["layer5"]}, r"model\.frozen: layer5 is not a layer of resnet18; choose from stem, layer1"),
        ({"backbone": "resnet18", "pretrained": "package"}, "no package has weights of resnet18"),
    ],
)
def test_check_finds_what_no_training_could_begin_with(tiny: Params, changes: dict[str, Any], message: str) -> None:
    check_networks(tiny)
    with pytest.raises(InputError, match=message):
        check_networks(tiny.model_copy(update={"model": tiny.model.model_copy(update=changes)}))


def test_a_place_of_mixup_that_a_short_vit_lacks_is_named(tiny: Params) -> None:
    short = Family("vit_tiny_patch16_224", SMALL_VIT | {"depth": 2}, 2)
    p = tiny.model_copy(update={"model": model_of(tiny, short)})
    with pytest.raises(
        InputError, match=r"method\.akm\.mixup\.place: layer3 is not a layer of vit_tiny_patch16_224; choose from input, stem"
    ):
        check_networks(p)
    identity: Callable[[Tensor], Tensor] = lambda x: x  # noqa: E731
    net: PoseNet = build(p.model, 17, seed=0)
    with pytest.raises(ValueError, match="place = 'layer3', must be one of input, stem, layer1, layer2"):
        net(torch.zeros(1, 3, SIDE, SIDE), "layer3", identity)


def test_weights_that_cannot_be_downloaded_are_missed_at_once(tiny: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after hours of downloading people; a network of timm that has no weights stands for a hub that does not answer."""
    model = tiny.model.model_copy(update={"backbone": "resnet18.nowhere", "pretrained": True})
    with pytest.raises(InputError, match=r"model\.pretrained = true: the ImageNet weights of resnet18\.nowhere cannot be downloaded"):
        check_networks(tiny.model_copy(update={"model": model}))
