"""Backbones of pose networks, made by timm, each split into a
stem and layers: `stem`, `layer1` ... `layer4`.

In a convolutional network, `layer1` ends at timm's features of
stride 4, `layer2` at the next ones, and so on.
Everything before `layer1` is the stem.
The layers of a ViT are the quarters of its blocks.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import FeatureListNet
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.mobilenetv3 import MobileNetV3Features
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from semipose.models.pretrained import plain_vit, timm_network
from semipose.utils.errors import InputError

if TYPE_CHECKING:
    from semipose.config.network import Model

RESNET = ("conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3", "layer4")
HRNET = ("conv2", "layer1", "transition1", "stage2", "transition2", "stage3", "transition3", "stage4")


STRIDES = (4, 8, 16, 32)
"""Strides from which none to three deconvolutions reach heatmaps of stride 4."""


class Backbone(NamedTuple):
    """A backbone in layers: images [B, 3, H, W] -> features [B, channels, H / stride, W / stride].

    Attributes:
        layers: stem, layer1 ... layer4, one after the other.
        coarsest: The largest stride inside; the input's sides must be multiples of it.
        any_size: Whether images may have another size than the one that it was made for.
    """

    layers: dict[str, nn.Module]
    channels: int
    stride: int
    coarsest: int
    any_size: bool = True


class Colours(nn.Module):
    """Convert images normalised by ImageNet's mean and deviation to those of the backbone's
    weights; nothing is learned.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        there, wanted = (torch.tensor(two)[:, :, None, None] for two in ((IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD), (mean, std)))
        # No buffers: training averages buffers over the groups of a step.
        self.factor = nn.Parameter(there[1] / wanted[1], requires_grad=False)
        self.offset = nn.Parameter((there[0] - wanted[0]) / wanted[1], requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        return images * self.factor + self.offset


class Tokens(nn.Module):
    """A ViT up to its blocks: images [B, 3, H, W] -> tokens [B, N,
    C], those without a place in the image first.
    """

    def __init__(self, vit: nn.Module) -> None:
        super().__init__()
        self.vit = vit
        self.vit.blocks, self.vit.norm = nn.Sequential(), nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.vit.forward_features(images)  # type: ignore[operator]
        return tokens


class FeatureMap(nn.Module):
    """Tokens [B, N, C] -> features [B, C, h, w] of the last h w tokens."""

    def __init__(self, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, tokens: Tensor) -> Tensor:
        h, w = self.grid
        return tokens[:, -h * w :].unflatten(1, (h, w)).permute(0, 3, 1, 2)


class Resolutions(nn.Module):
    """A transition and a stage of an HRNet: features at n
    resolutions (a tensor is one) -> a list of n or n + 1.
    """

    def __init__(self, transition: nn.ModuleList, stage: nn.Module) -> None:
        super().__init__()
        self.transition, self.stage = transition, stage

    def forward(self, features: Tensor | list[Tensor]) -> list[Tensor]:
        there = [features] if isinstance(features, Tensor) else features
        # A new resolution comes from the coarsest one; one that keeps its channels is passed on.
        begun = [there[i] if isinstance(layer, nn.Identity) else layer(there[-1]) for i, layer in enumerate(self.transition)]
        found: list[Tensor] = self.stage(begun)
        return found


class Finest(Resolutions):
    """The last stage, which passes only the finest resolution to the head."""

    def __init__(self, transition: nn.ModuleList, stage: Any) -> None:
        super().__init__(transition, stage)
        stage[-1].fuse_layers = stage[-1].fuse_layers[:1]  # the other weights would not be reached by any loss

    def forward(self, features: Tensor | list[Tensor]) -> Tensor:  # type: ignore[override]
        return super().forward(features)[0]


def backbone_of(model: "Model") -> Backbone:
    """Make the backbone that `model.backbone`, `options` and `pretrained` describe.

    Raises:
        InputError: It cannot be made, or its weights cannot be
            loaded; it never starts at random instead.
    """
    made: Any = timm_network(model)  # timm's attributes are unknown to type checkers
    if all(hasattr(made, name) for name in HRNET):
        found = _hrnet(made)
    elif all(hasattr(made, name) for name in RESNET):
        found = _resnet(made)
    elif type(made) is VisionTransformer and plain_vit(model.backbone):  # other networks of that class have their own embedding
        found = _vit(made)
    else:
        found = _sequence(made, model)
    if found.stride not in STRIDES:
        raise InputError(
            f"model.backbone = {model.backbone!r}: its features have stride {found.stride}, must be "
            f"{', '.join(map(str, STRIDES))}, which deconvolutions bring to 4; choose another backbone (for a ViT, "
            "model.options: {patch_size: 16})"
        )
    mean, std = tuple(made.pretrained_cfg["mean"]), tuple(made.pretrained_cfg["std"])
    if (mean, std) != (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD):
        found.layers["stem"] = nn.Sequential(Colours(mean, std), found.layers["stem"])
    return found


def _resnet(made: Any) -> Backbone:
    stem = nn.Sequential(made.conv1, made.bn1, made.act1, made.maxpool)
    stride = made.feature_info[-1]["reduction"]
    return Backbone({"stem": stem, **{name: getattr(made, name) for name in RESNET[4:]}}, made.num_features, stride, stride)


def _hrnet(made: Any) -> Backbone:
    stem = nn.Sequential(made.conv1, made.bn1, made.act1, made.conv2, made.bn2, made.act2)
    stages = {"layer2": Resolutions(made.transition1, made.stage2), "layer3": Resolutions(made.transition2, made.stage3)}
    layers = {"stem": stem, "layer1": made.layer1, **stages, "layer4": Finest(made.transition3, made.stage4)}
    wide = {"BASIC": 1, "BOTTLENECK": 4}[made.stage4_cfg["block_type"]]
    return Backbone(layers, wide * made.stage4_cfg["num_channels"][0], stride=4, coarsest=32)


def _vit(made: Any) -> Backbone:
    """The features of one resolution at the end of a plain ViT (ViTPose, arXiv 2204.12484)."""
    made.prune_intermediate_layers(len(made.blocks) - 1, prune_head=True)
    blocks, norm, patches = list(made.blocks), made.norm, made.patch_embed
    cuts = sorted({len(blocks) * quarter // 4 for quarter in range(5)})
    quarters = [nn.Sequential(*blocks[start:end]) for start, end in pairwise(cuts)]
    quarters[-1].extend([norm, FeatureMap(patches.grid_size)])
    layers = {"stem": Tokens(made), **{f"layer{number}": quarter for number, quarter in enumerate(quarters, start=1)}}
    stride = patches.patch_size[0]
    return Backbone(layers, made.embed_dim, stride, stride, any_size=False)


def _sequence(made: Any, model: "Model") -> Backbone:
    """A network whose features come from its modules one after the other (EfficientNet, MobileNet,
    ConvNeXt, RegNet and others).
    """
    refusal = (
        f"model.backbone = {model.backbone!r} cannot be split into layers; use a ResNet, HRNet, EfficientNet, MobileNet, "
        "ConvNeXt, RegNet or plain ViT of timm"
    )
    try:
        with torch.device("meta"):
            theirs = timm.create_model(model.backbone, features_only=True, **model.options)
    except Exception:  # timm reports in many ways that a network gives no features
        raise InputError(refusal) from None
    if not isinstance(theirs, FeatureListNet | EfficientNetFeatures | MobileNetV3Features) or getattr(made, "output_fmt", "NCHW") != "NCHW":
        raise InputError(refusal)
    features = list(made.feature_info)
    modules = FeatureListNet(made, tuple(range(len(features))), flatten_sequential=any("." in one["module"] for one in features))
    names = list(modules)
    ends = [number for number, name in enumerate(names, start=1) if name in modules.return_layers]
    fine = [end for end, one in zip(ends, features, strict=True) if one["reduction"] < STRIDES[0]]
    coarse = ends[len(fine) :]
    cuts = [fine[-1] if fine else coarse[0] - 1, *coarse]
    layers = {f"layer{number}": _part(modules, names[start:end]) for number, (start, end) in enumerate(pairwise(cuts), start=1)}
    stride = features[-1]["reduction"]
    return Backbone({"stem": _part(modules, names[: cuts[0]]), **layers}, features[-1]["num_chs"], stride, stride)


def _part(modules: Any, names: Sequence[str]) -> nn.Module:
    return nn.Sequential(*(modules[name] for name in names))
