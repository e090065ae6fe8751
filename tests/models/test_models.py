"""The network: shapes, taps, what its weight file holds, and every way in which weights can be wrong."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from semipose.config.network import Model
from semipose.config.tree import Params
from semipose.models.network import build
from semipose.models.weight_file import load_network, load_weights, network_metadata, save_network
from semipose.pose.skeleton import COCO17
from semipose.utils.errors import InputError


def test_shapes_and_initialisation(demo: Params) -> None:
    net = build(demo.model, 17, seed=0)
    assert net(torch.zeros(2, 3, demo.model.height, demo.model.width)).shape == (2, 17, demo.model.height // 4, demo.model.width // 4)
    last = net.head[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    assert not last.bias.any()
    deviations = [float(layer.weight.std()) for layer in net.head if isinstance(layer, nn.ConvTranspose2d)]
    assert deviations == pytest.approx([0.001] * len(deviations), rel=0.1)


def test_the_published_network(demo: Params) -> None:
    """ResNet-18 at 256 x 192 has 15.4 million weights."""
    model = demo.model.model_copy(update={"options": {}, "head_channels": [256, 256, 256], "height": 256, "width": 192})
    net = build(model, 17, seed=0)
    assert sum(weight.numel() for weight in net.parameters()) == pytest.approx(15.4e6, rel=0.02)


@pytest.fixture
def high_resolution(tiny: Params) -> Model:
    """A narrow HRNet: four resolutions, one block and one module of each."""
    branches = {f"stage{n}": {"num_modules": 1, "num_branches": n, "block_type": "BASIC", "num_blocks": [1] * n} for n in (2, 3, 4)}
    stages = {
        name: {**stage, "num_channels": [4, 8, 16, 32][: stage["num_branches"]], "fuse_method": "SUM"} for name, stage in branches.items()
    }
    return tiny.model.model_copy(update={"backbone": "hrnet_w18_small", "options": stages, "head_channels": [], "height": 64, "width": 32})


def test_an_hrnet_is_timms_up_to_its_finest_features(high_resolution: Model, tmp_path: Path) -> None:
    import timm

    theirs = timm.create_model("hrnet_w18_small", num_classes=0, **high_resolution.options)
    path = tmp_path / "backbone.pth"
    torch.save(theirs.state_dict() | {"classifier.weight": torch.zeros(1)}, path)
    net = build(high_resolution.model_copy(update={"pretrained": str(path)}), 17, 0).eval()
    images = torch.randn(2, 3, 64, 32)
    theirs.eval()
    stem = theirs.act2(theirs.bn2(theirs.conv2(theirs.act1(theirs.bn1(theirs.conv1(images))))))
    head = net.head[0]
    assert isinstance(head, nn.Conv2d)
    expected = nn.functional.conv2d(theirs.stages(stem)[0], head.weight, head.bias)
    assert net(images).shape == (2, 17, 16, 8)
    torch.testing.assert_close(net(images), expected)


def test_every_weight_of_an_hrnet_is_trained_and_every_place_can_be_changed(high_resolution: Model) -> None:
    net = build(high_resolution, 17, 0)
    net(torch.randn(2, 3, 64, 32)).square().sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())
    net.eval()
    images = torch.randn(2, 3, 64, 32)
    plain, resolutions = net(images), {"input": 1, "stem": 1, "layer1": 1, "layer2": 2, "layer3": 3}
    for place, count in resolutions.items():
        changed: list[torch.Size] = []

        def change(features: torch.Tensor, changed: list[torch.Size] = changed) -> torch.Tensor:
            changed.append(features.shape)
            return 2 * features

        assert not torch.equal(net(images, place, change), plain)
        assert len(changed) == count
    assert torch.equal(net(images, "layer3", lambda features: features), plain)


def test_the_seed_alone_decides(tiny: Params) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, other = build(tiny.model, 17, 1), build(tiny.model, 17, 1), build(tiny.model, 17, 2)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_weights_round_trip_with_their_card(tiny: Params, tmp_path: Path) -> None:
    net = build(tiny.model, 17, 1)
    path = tmp_path / "weights.safetensors"
    save_network(net, path, network_metadata(tiny.model, COCO17, 1.25, cell="x"))
    again, metadata = load_network(path)
    image = torch.randn(2, 3, 32, 32)
    assert torch.equal(again(image), net.eval()(image))
    assert metadata["skeleton"]["joints"] == list(COCO17.joints)
    assert (metadata["model"]["height"], metadata["padding"], metadata["stride"], metadata["cell"]) == (32, 1.25, 4, "x")
    assert list(tmp_path.iterdir()) == [path]
    bytes_before = path.read_bytes()
    save_network(net, path, network_metadata(tiny.model, COCO17, 1.25, cell="x"))
    assert path.read_bytes() == bytes_before


def test_pretrained_from_a_file_of_the_user(tiny: Params, tmp_path: Path) -> None:
    import timm

    backbone = timm.create_model("resnet18", num_classes=10, **tiny.model.options)
    path = tmp_path / "backbone.pth"
    torch.save(backbone.state_dict(), path)
    net = build(tiny.model.model_copy(update={"pretrained": str(path)}), 17, 0)
    stem = net.backbone["stem"]
    assert isinstance(stem, nn.Sequential)
    assert torch.equal(stem[0][0].weight, backbone.conv1[0].weight)
    wrong = tiny.model.model_copy(update={"pretrained": str(path), "options": {**tiny.model.options, "channels": [8, 8, 8, 16]}})
    with pytest.raises(InputError, match="does not fit"):
        build(wrong, 17, 0)
    with pytest.raises(InputError, match="no such file"):
        build(tiny.model.model_copy(update={"pretrained": str(tmp_path / "absent.pth")}), 17, 0)


def test_a_download_that_fails_names_both_ways_out(demo: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub is switched off as its own client knows it; what is under test is what we make of the failure."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", "/nonexistent")
    model = demo.model.model_copy(update={"pretrained": True, "options": {}, "head_channels": [8, 8, 8]})
    with pytest.raises(InputError, match=r"model\.pretrained: path/to/file.*model\.pretrained: false"):
        build(model, 17, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "resnet19"}, "timm cannot make this network"),
        ({"backbone": "swin_tiny_patch4_window7_224", "options": {}}, "cannot be split into layers; use a ResNet, HRNet, EfficientNet"),
        ({"backbone": "vit_small_patch14_dinov2", "options": {}}, r"features have stride 14.*patch_size: 16"),
        (
            {"backbone": "vit_tiny_patch16_224", "options": {"img_size": 32}},
            r"model\.options: img_size is set by model\.height and model\.width",
        ),
        (
            {"frozen": ["stem", "layer9", "head"]},
            "layer9, head is not a layer of resnet18; choose from stem, layer1, layer2, layer3, layer4",
        ),
        ({"options": {"layres": [1]}}, "timm cannot make this network"),
        ({"head_channels": [8]}, "needs 3 for heatmaps of stride 4"),
        ({"width": 72}, r"model\.width = 72 is not a multiple of the backbone's stride 32"),
    ],
)
def test_a_network_that_cannot_be(tiny: Params, changes: dict[str, object], message: str) -> None:
    model: Model = tiny.model.model_copy(update=changes)
    with pytest.raises(InputError, match=message):
        build(model, 17, 0)


def test_a_weight_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(InputError, match="no such weight file"):
        load_weights(path)
    path.write_bytes(b"hello")
    with pytest.raises(InputError, match="is not a semipose weight file"):
        load_weights(path)


def test_heatmaps_are_not_rounded_under_autocast(demo: Params) -> None:
    """The layers before are in bfloat16, the last one is not."""
    net = build(demo.model, 17, seed=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = nn.Sequential(*net.backbone.values(), *net.head[:-1])(torch.rand(2, 3, 64, 48))
        heatmaps = net.head[-1](features)
    assert (features.dtype, heatmaps.dtype) == (torch.bfloat16, torch.float32)
    last = net.head[-1]
    assert isinstance(last, nn.Conv2d)
    assert torch.equal(heatmaps, nn.functional.conv2d(features.float(), last.weight, last.bias))


def test_a_weight_file_of_0_1_loads(tiny: Params, tmp_path: Path) -> None:
    """There the backbone was called trunk, in the tensors' names and in the metadata."""
    net, path = build(tiny.model, 17, seed=3).eval(), tmp_path / "weights.safetensors"
    metadata = network_metadata(tiny.model, COCO17, 1.25)
    metadata["model"] = {"trunk" if key == "backbone" else key: value for key, value in metadata["model"].items()}
    tensors = {name.replace("backbone.", "trunk."): value.contiguous() for name, value in net.state_dict().items()}
    assert any(name.startswith("trunk.") for name in tensors)
    safetensors.torch.save_file(tensors, path, {"semipose": json.dumps(metadata)})
    again, found = load_network(path)
    assert found["model"]["backbone"] == tiny.model.backbone
    for name, value in net.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
