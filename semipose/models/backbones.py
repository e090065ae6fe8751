"""Backbones of pose networks, made by timm: ResNets and HRNets (arXiv 1902.09212), each cut into a stem and four layers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from semipose.utils.errors import InputError

if TYPE_CHECKING:
    from semipose.config.network import Model

RESNET = ("conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3", "layer4")
HRNET = ("conv2", "layer1", "transition1", "stage2", "transition2", "stage3", "transition3", "stage4")


class Backbone(NamedTuple):
    """layers: stem, layer1 ... layer4, one after the other; images [B, 3, H, W] -> features [B, channels, H / stride, W / stride].
    coarsest: the largest stride inside, of which the input's sides must be multiples."""

    layers: dict[str, nn.Module]
    channels: int
    stride: int
    coarsest: int


class Resolutions(nn.Module):
    """A transition and a stage of an HRNet: features at n resolutions (a tensor is one) -> a list of them at n or n + 1."""

    def __init__(self, transition: nn.ModuleList, stage: nn.Module) -> None:
        super().__init__()
        self.transition, self.stage = transition, stage

    def forward(self, features: Tensor | list[Tensor]) -> list[Tensor]:
        there = [features] if isinstance(features, Tensor) else features
        # A new resolution comes from the coarsest one that there is; one that keeps its channels goes on as it is.
        begun = [there[i] if isinstance(layer, nn.Identity) else layer(there[-1]) for i, layer in enumerate(self.transition)]
        found: list[Tensor] = self.stage(begun)
        return found


class Finest(Resolutions):
    """The last stage, of which only the finest resolution goes on to the head."""

    def __init__(self, transition: nn.ModuleList, stage: Any) -> None:
        super().__init__(transition, stage)
        stage[-1].fuse_layers = stage[-1].fuse_layers[:1]  # the others would be weights that no loss reaches

    def forward(self, features: Tensor | list[Tensor]) -> Tensor:  # type: ignore[override]
        return super().forward(features)[0]


def backbone_of(model: "Model") -> Backbone:
    """The backbone that `model.backbone`, `options` and `pretrained` describe. Raises InputError; never starts at random in silence."""
    made: Any = _made(model)  # timm's attributes are unknown to type checkers
    if all(hasattr(made, name) for name in HRNET):
        stem = nn.Sequential(made.conv1, made.bn1, made.act1, made.conv2, made.bn2, made.act2)
        stages = {"layer2": Resolutions(made.transition1, made.stage2), "layer3": Resolutions(made.transition2, made.stage3)}
        layers = {"stem": stem, "layer1": made.layer1, **stages, "layer4": Finest(made.transition3, made.stage4)}
        wide = {"BASIC": 1, "BOTTLENECK": 4}[made.stage4_cfg["block_type"]]
        return Backbone(layers, wide * made.stage4_cfg["num_channels"][0], stride=4, coarsest=32)
    if all(hasattr(made, name) for name in RESNET):
        stem = nn.Sequential(made.conv1, made.bn1, made.act1, made.maxpool)
        stride = made.feature_info[-1]["reduction"]
        return Backbone({"stem": stem, **{name: getattr(made, name) for name in RESNET[4:]}}, made.num_features, stride, stride)
    raise InputError(
        f"model.backbone = {model.backbone!r} is neither a ResNet nor an HRNet of timm (such as resnet18, resnet50, hrnet_w32)"
    )


def _made(model: "Model") -> nn.Module:
    pretrained = model.pretrained is True
    try:
        backbone = timm.create_model(model.backbone, pretrained=pretrained, num_classes=0, **model.options)
    except Exception as error:  # timm, its hub client and the network raise many kinds
        if not pretrained:
            raise InputError(
                f"model.backbone = {model.backbone!r} with model.options = {model.options}: timm cannot make it: {error}"
            ) from None
        raise InputError(
            f"model.pretrained = true: the ImageNet weights of {model.backbone} cannot be fetched ({str(error)[:200]}). "
            "Either name a weight file of yours (model.pretrained: path/to/file) or start at random (model.pretrained: false)"
        ) from None
    if isinstance(model.pretrained, str):
        _load_file(backbone, Path(model.pretrained))
    return backbone


def _load_file(backbone: nn.Module, path: Path) -> None:
    """Load a file with timm's names (torchvision's are the same for ResNets) into the backbone; only the classifier may be left over."""
    try:
        state = (
            safetensors.torch.load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
        )
        missing, unexpected = backbone.load_state_dict(state, strict=False)
    except FileNotFoundError:
        raise InputError(f"model.pretrained = {str(path)!r}: no such file; give a path, true (download) or false (random start)") from None
    except Exception as error:  # pickle, zip, safetensors and shape errors
        raise InputError(f"model.pretrained = {str(path)!r} does not fit model.backbone: {str(error)[:300]}") from None
    if missing or any(not name.startswith(("fc.", "classifier.")) for name in unexpected):
        raise InputError(f"model.pretrained = {str(path)!r} does not fit model.backbone: missing {missing[:3]}, unknown {unexpected[:3]}")
